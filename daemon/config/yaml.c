// SPDX-License-Identifier: BSD-2-Clause
// Builds the tree from libfyaml's events.
#include "daemon/config/yaml.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH  16
#define BLOCK_SIZE (64 * 1024)

/* Nodes and texts live in blocks that are freed together. */
struct block {
	struct block *next;
	size_t used, size;
	char data[] __attribute__((aligned(16)));
};

struct yaml {
	struct block *blocks;
	struct yaml_node *root;
};

/* The document, or a list or mapping that has begun. */
struct level {
	enum yaml_kind kind;
	struct yaml_node **link; /* where its next child goes */
	size_t children;
};

struct builder {
	struct yaml *yaml;
	const char *file;
	struct diagnostics *diagnostics;
	struct level
		levels[MAX_DEPTH + 1]; /* the document, and the containers around the next node */
	unsigned depth;
	unsigned line,
		column; /* of the event at hand; of the one before, if it is an empty value */
	unsigned documents;
	bool failed;
};

static void *allocate_yaml(struct yaml *yaml, size_t size)
{
	struct block *block = yaml->blocks;
	void *piece;

	size = (size + 15) & ~(size_t)15;
	if (!block || block->size - block->used < size) {
		size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		block = malloc(sizeof(*block) + room);
		if (!block)
			return NULL;
		*block = (struct block){.next = yaml->blocks, .size = room};
		yaml->blocks = block;
	}
	piece = block->data + block->used;
	block->used += size;
	return piece;
}

void yaml_free(struct yaml *yaml)
{
	if (!yaml)
		return;
	while (yaml->blocks) {
		struct block *block = yaml->blocks;

		yaml->blocks = block->next;
		free(block);
	}
	free(yaml);
}

const struct yaml_node *yaml_root(const struct yaml *yaml)
{
	return yaml->root;
}

bool yaml_is_null(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && !node->quoted &&
	       (!node->text[0] || !strcmp(node->text, "~") || !strcmp(node->text, "null"));
}

static void complain_yaml(struct builder *builder, unsigned line, unsigned column, const char *text)
{
	diagnostics_error(builder->diagnostics, builder->file, line, column, "%s", text);
	builder->failed = true;
}

static struct yaml_node *new_node(struct builder *builder, enum yaml_kind kind)
{
	struct yaml_node *node = allocate_yaml(builder->yaml, sizeof(*node));

	if (!node) {
		complain_yaml(builder, 0, 0, "out of memory");
		return NULL;
	}
	*node = (struct yaml_node){
		.kind = kind,
		.line = builder->line,
		.column = builder->column,
	};
	return node;
}

/* Hangs the node where the document expects the next one. */
static void attach_yaml(struct builder *builder, struct yaml_node *node)
{
	struct level *level = &builder->levels[builder->depth];

	if (level->kind == YAML_MAPPING && level->children % 2 == 0 && node->kind != YAML_SCALAR)
		complain_yaml(builder, node->line, node->column,
			"a key must be a word, not a list or mapping");
	level->children++;
	*level->link = node;
	level->link = &node->next;
}

static void open_container(struct builder *builder, enum yaml_kind kind)
{
	struct yaml_node *node = new_node(builder, kind);

	if (!node)
		return;
	attach_yaml(builder, node);
	if (builder->depth == MAX_DEPTH) {
		complain_yaml(builder, node->line, node->column,
			"lists and mappings are nested too deeply");
		return;
	}
	builder->levels[++builder->depth] = (struct level){.kind = kind, .link = &node->first};
}

static void add_scalar(struct builder *builder, struct fy_event *event)
{
	struct yaml_node *node = new_node(builder, YAML_SCALAR);
	size_t length = 0;
	const char *text = fy_token_get_text(event->scalar.value, &length);
	enum fy_scalar_style style;
	char *copy;

	if (!node)
		return;
	copy = allocate_yaml(builder->yaml, length + 1);
	if (!copy) {
		complain_yaml(builder, 0, 0, "out of memory");
		return;
	}
	if (length)
		memcpy(copy, text, length);
	copy[length] = '\0';
	node->text = copy;
	style = fy_token_scalar_style(event->scalar.value);
	node->quoted = style != FYSS_PLAIN;
	/* libfyaml's place is the first character behind the quote. */
	if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && node->column > 1)
		node->column--;
	if (memchr(copy, '\0', length))
		complain_yaml(builder, node->line, node->column,
			"a NUL character cannot stand in a value");
	attach_yaml(builder, node);
}

/* Anchors and tags are part of YAML that no configuration needs. */
static void refuse_extras(struct builder *builder, struct fy_event *event)
{
	struct fy_token *anchor = NULL, *tag = NULL;

	if (event->type == FYET_SCALAR) {
		anchor = event->scalar.anchor;
		tag = event->scalar.tag;
	} else if (event->type == FYET_SEQUENCE_START) {
		anchor = event->sequence_start.anchor;
		tag = event->sequence_start.tag;
	} else if (event->type == FYET_MAPPING_START) {
		anchor = event->mapping_start.anchor;
		tag = event->mapping_start.tag;
	} else if (event->type == FYET_ALIAS) {
		anchor = event->alias.anchor;
	}
	if (anchor || tag)
		complain_yaml(builder, builder->line, builder->column,
			"anchors, aliases and tags are not supported; write the value out");
}

static void take_event(struct builder *builder, struct fy_event *event)
{
	const struct fy_mark *mark = fy_event_start_mark(event);

	if (mark) {
		builder->line = (unsigned)mark->line + 1;
		builder->column = (unsigned)mark->column + 1;
	}
	refuse_extras(builder, event);
	if (builder->failed)
		return;
	switch (event->type) {
	case FYET_DOCUMENT_START:
		if (builder->documents++)
			complain_yaml(builder, builder->line, builder->column,
				"a second document starts here; one file holds one");
		break;
	case FYET_SCALAR:
		add_scalar(builder, event);
		break;
	case FYET_SEQUENCE_START:
		open_container(builder, YAML_SEQUENCE);
		break;
	case FYET_MAPPING_START:
		open_container(builder, YAML_MAPPING);
		break;
	case FYET_SEQUENCE_END:
	case FYET_MAPPING_END:
		builder->depth--;
		break;
	default:
		break;
	}
}

static void report_syntax(struct builder *builder, struct fy_diag *diag)
{
	size_t errors = builder->diagnostics->errors;
	struct fy_diag_error *error;
	void *iterator = NULL;

	while ((error = fy_diag_errors_iterate(diag, &iterator)))
		diagnostics_error(builder->diagnostics, builder->file, (unsigned)error->line,
			(unsigned)error->column, "YAML: %s", error->msg);
	if (builder->diagnostics->errors == errors && !builder->failed)
		complain_yaml(builder, builder->line, builder->column,
			"YAML: something is wrong after this; check its indentation and quotes");
	builder->failed = true;
}

/* The length of the UTF-8 sequence at text, or 0 if there is none: RFC 3629, section 4. */
static size_t sequence_length(const uint8_t *text, size_t left)
{
	uint8_t first = text[0], least = 0x80, most = 0xbf;
	size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || length > left)
		return 0;
	if (first == 0xe0)
		least = 0xa0; /* not shorter ones written longer */
	else if (first == 0xed)
		most = 0x9f; /* nor surrogates */
	else if (first == 0xf0)
		least = 0x90;
	else if (first == 0xf4)
		most = 0x8f; /* nor past U+10FFFF */
	for (size_t i = 1; i < length; i++) {
		if (text[i] < least || text[i] > most)
			return 0;
		least = 0x80;
		most = 0xbf;
	}
	return length;
}

/* libfyaml loops for ever on some input that is no text, so what YAML excludes is refused first. */
static bool check_text(struct builder *builder, const char *text, size_t size)
{
	const uint8_t *bytes = (const uint8_t *)text;
	unsigned line = 1, column = 1;
	char diagnostic[96];

	for (size_t at = 0, length; at < size; at += length) {
		length = sequence_length(bytes + at, size - at);
		if (!length || bytes[at] == 0x7f ||
			(bytes[at] < ' ' && !strchr("\t\n\r", bytes[at])) || !bytes[at]) {
			snprintf(diagnostic, sizeof(diagnostic),
				length ? "a control character (0x%02x) cannot stand in a configuration"
				       : "this is not UTF-8 (byte 0x%02x); save the file as UTF-8",
				bytes[at]);
			complain_yaml(builder, line, column, diagnostic);
			return false;
		}
		column++;
		if (bytes[at] == '\n') {
			line++;
			column = 1;
		}
	}
	return true;
}

static void build_yaml(
	struct builder *builder, struct fy_diag *diag, const char *text, size_t length)
{
	struct fy_parse_cfg config = {
		.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DEFAULT_VERSION_1_2,
		.diag = diag};
	struct fy_parser *parser = fy_parser_create(&config);
	struct fy_event *event;

	if (!parser || fy_parser_set_string(parser, text, length)) {
		complain_yaml(builder, 0, 0, "out of memory");
	} else {
		while (!builder->failed && (event = fy_parser_parse(parser))) {
			take_event(builder, event);
			fy_parser_event_free(parser, event);
		}
		if (fy_parser_get_stream_error(parser) || fy_diag_got_error(diag))
			report_syntax(builder, diag);
	}
	if (parser)
		fy_parser_destroy(parser);
}

int yaml_parse(const char *file, const char *text, size_t length, struct yaml **out,
	struct diagnostics *diagnostics)
{
	struct builder builder = {
		.yaml = calloc(1, sizeof(struct yaml)),
		.file = file,
		.diagnostics = diagnostics,
		.line = 1,
		.column = 1,
	};
	struct fy_diag_cfg diag_config;
	struct fy_diag *diag;

	fy_diag_cfg_default(&diag_config);
	diag_config.fp = NULL;
	diag_config.colorize = false;
	diag = fy_diag_create(&diag_config);
	if (!builder.yaml || !diag) {
		complain_yaml(&builder, 0, 0, "out of memory");
	} else {
		fy_diag_set_collect_errors(diag, true);
		builder.levels[0] =
			(struct level){.kind = YAML_SEQUENCE, .link = &builder.yaml->root};
		/* libfyaml takes an empty string for an unset one. */
		if (length && check_text(&builder, text, length))
			build_yaml(&builder, diag, text, length);
	}
	if (diag)
		fy_diag_destroy(diag);
	if (builder.failed) {
		yaml_free(builder.yaml);
		return -EINVAL;
	}
	*out = builder.yaml;
	return 0;
}
