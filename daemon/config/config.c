// SPDX-License-Identifier: BSD-2-Clause
// Reads files, in order, into one configuration.
#include "daemon/config/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/steer_maps.h"
#include "common/cleanup.h"
#include "daemon/config/reader.h"
#include "exec/exec_settings.h"
#include "relay/relay_settings.h"

#define MAX_FILE_SIZE (64 * 1024 * 1024)

uint32_t service_id(const char *name)
{
	uint32_t hash = 0x811c9dc5u;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x01000193u;
	return hash < STEER_FIRST_SERVICE ? hash + STEER_FIRST_SERVICE : hash;
}

const struct config_service *config_service_find(const struct config *config, const char *name)
{
	const struct config_service *service = config_service_by_id(config, service_id(name));

	return service && !strcmp(service->name, name) ? service : NULL;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	config_index_fini(&config->index);
	for (size_t r = 0; r < config->route_count; r++)
		route_fini(&config->routes[r]);
	for (size_t s = 0; s < config->service_count; s++) {
		free(config->services[s].name);
		free(config->services[s].users);
		free(config->services[s].groups);
		free(config->services[s].getsocks);
		handoff_free(config->services[s].handoff);
		relay_settings_free(config->services[s].relay);
		relay_accept_proxy_free(config->services[s].accept_proxy);
		grants_fini(&config->services[s].grants);
		exec_settings_free(config->services[s].exec);
	}
	for (size_t f = 0; f < config->file_count; f++)
		free(config->files[f]);
	free(config->routes);
	free(config->services);
	free(config->files);
	names_free(config->names);
	free(config);
}

static void read_config_engine(struct reader *reader, const struct yaml_node *node, void *target)
{
	const char *text = reader_text(reader, node, "'engine'");

	(void)target;
	if (!text)
		return;
	if (!strcmp(text, "auto"))
		reader->config->engine = CONFIG_ENGINE_AUTO;
	else if (!strcmp(text, "kernel"))
		reader->config->engine = CONFIG_ENGINE_KERNEL;
	else if (!strcmp(text, "user"))
		reader->config->engine = CONFIG_ENGINE_USER;
	else
		reader_error(
			reader, node, "'%s' is not an engine; write auto, kernel or user", text);
}

static void read_config_confinement(
	struct reader *reader, const struct yaml_node *node, void *target)
{
	const char *text = reader_text(reader, node, "'confinement'");

	(void)target;
	if (!text)
		return;
	if (!strcmp(text, "auto"))
		reader->config->confinement = CONFIG_CONFINEMENT_AUTO;
	else if (!strcmp(text, "required"))
		reader->config->confinement = CONFIG_CONFINEMENT_REQUIRED;
	else if (!strcmp(text, "off"))
		reader->config->confinement = CONFIG_CONFINEMENT_OFF;
	else
		reader_error(reader, node,
			"'%s' is not a value of 'confinement'; write auto, required or off", text);
}

static void read_tproxy_port(struct reader *reader, const struct yaml_node *node, void *target)
{
	const char *text = reader_text(reader, node, "'tproxy-port'");
	unsigned long port;

	(void)target;
	if (text && reader_number(text, 1, 65535, &port))
		reader->config->tproxy_port = (uint16_t)port;
	else if (text)
		reader_error(
			reader, node, "'%s' is not a port; write a number from 1 to 65535", text);
}

/* Notes the file's name, which places point to. */
static bool add_file(struct reader *reader, const char *name)
{
	struct config *config = reader->config;
	char **files = reallocarray(config->files, config->file_count + 1, sizeof(*files));

	if (files)
		config->files = files;
	if (!files || !(files[config->file_count] = strdup(name))) {
		reader_no_memory(reader);
		return false;
	}
	reader->file = files[config->file_count++];
	return true;
}

static void read_text(struct reader *reader, const char *name, const char *text, size_t length)
{
	static const struct reader_key keys[] = {
		{"services", services_read},
		{"routes", routes_read},
		{"engine", read_config_engine},
		{"confinement", read_config_confinement},
		{"tproxy-port", read_tproxy_port},
	};
	struct yaml *yaml = NULL;

	if (!add_file(reader, name) ||
		yaml_parse(reader->file, text, length, &yaml, reader->diagnostics))
		return;
	if (yaml_root(yaml))
		reader_mapping(reader, yaml_root(yaml), "the configuration", keys,
			sizeof(keys) / sizeof(*keys), NULL);
	yaml_free(yaml);
}

/* Reads a whole regular file; the caller frees *text. */
static int slurp_config(const char *path, char **text_out, size_t *length_out)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup_free char *text = NULL;
	size_t length = 0;
	struct stat file;

	if (fd < 0 || fstat(fd, &file))
		return -errno;
	if (!S_ISREG(file.st_mode))
		return S_ISDIR(file.st_mode) ? -EISDIR : -EINVAL;
	if (file.st_size > MAX_FILE_SIZE)
		return -EFBIG;
	text = malloc((size_t)file.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (length < (size_t)file.st_size) {
		ssize_t got = read(fd, text + length, (size_t)file.st_size - length);

		if (got < 0)
			return -errno;
		if (!got)
			break;
		length += (size_t)got;
	}
	text[length] = '\0';
	*text_out = take_ptr(&text);
	*length_out = length;
	return 0;
}

static const char *explain_config(int code)
{
	switch (code) {
	case -ENOENT:
		return "there is no such file; create it, or name another";
	case -EACCES:
		return "this user may not read it; change its permissions";
	case -EISDIR:
		return "this is a directory; name a file in it";
	case -EINVAL:
		return "this is not a regular file; write the configuration into one";
	default:
		return strerror(-code);
	}
}

static int read_config_file(struct reader *reader, const char *path)
{
	cleanup_free char *text = NULL;
	size_t length = 0;
	int result = slurp_config(path, &text, &length);

	if (result) {
		diagnostics_error(reader->diagnostics, path, 0, 0, "%s", explain_config(result));
		return result;
	}
	read_text(reader, path, text, length);
	return 0;
}

static int is_yaml(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > 5 && entry->d_name[0] != '.' &&
	       !strcmp(entry->d_name + length - 5, ".yaml");
}

static int in_c_order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Reads services.d beside the main file, if it is there. */
static int read_directory(struct reader *reader, const char *main_path)
{
	char directory[PATH_MAX], path[PATH_MAX];
	const char *slash = strrchr(main_path, '/');
	int head = slash ? (int)(slash - main_path + 1) : 0;
	struct dirent **entries;
	int count, result = 0;

	if (snprintf(directory, sizeof(directory), "%.*sservices.d", head, main_path) >= PATH_MAX)
		return -ENAMETOOLONG;
	count = scandir(directory, &entries, is_yaml, in_c_order);
	if (count < 0) {
		if (errno == ENOENT)
			return 0;
		result = -errno;
		diagnostics_error(reader->diagnostics, directory, 0, 0, "%s", strerror(errno));
		return result;
	}
	for (int i = 0; i < count; i++) {
		int read = -ENAMETOOLONG;

		if (snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name) < PATH_MAX)
			read = read_config_file(reader, path);
		if (!result)
			result = read;
		free(entries[i]);
	}
	free(entries);
	return result;
}

static int begin_config(struct reader *reader, struct diagnostics *diagnostics)
{
	*reader = (struct reader){
		.config = calloc(1, sizeof(*reader->config)), .diagnostics = diagnostics};
	if (reader->config)
		reader->config->names = names_new();
	if (reader->config && reader->config->names)
		return 0;
	config_free(reader->config);
	reader_no_memory(reader);
	return -ENOMEM;
}

/* Ends the reading: gives the configuration away, or frees it if anything was wrong. */
static int finish_config(struct reader *reader, int result, struct config **out)
{
	routes_resolve(reader);
	for (size_t r = 0; r < reader->config->route_count; r++)
		free(reader->wanted[r]);
	free(reader->wanted);
	duplicates_free(reader->duplicates);
	if (!result && reader->diagnostics->errors)
		result = reader->out_of_memory ? -ENOMEM : -EINVAL;
	if (!result && config_index_build(reader->config)) {
		reader_no_memory(reader);
		result = -ENOMEM;
	}
	if (result)
		config_free(reader->config);
	else
		*out = reader->config;
	return result;
}

int config_load(const char *path, struct config **out, struct diagnostics *diagnostics)
{
	struct reader reader;
	int result = begin_config(&reader, diagnostics), more;

	if (result)
		return result;
	result = read_config_file(&reader, path);
	more = read_directory(&reader, path);
	return finish_config(&reader, result ? result : more, out);
}

int config_parse(const char *name, const char *text, size_t length, struct config **out,
	struct diagnostics *diagnostics)
{
	struct reader reader;
	int result = begin_config(&reader, diagnostics);

	if (result)
		return result;
	read_text(&reader, name, text, length);
	return finish_config(&reader, 0, out);
}
