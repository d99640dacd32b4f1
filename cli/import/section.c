// SPDX-License-Identifier: BSD-2-Clause
// Lists of names with words.
#include "cli/import/section.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct section_entry *look_section(struct section *section, const char *name)
{
	for (size_t i = 0; i < section->count; i++) {
		if (!strcmp(section->entries[i].name, name))
			return &section->entries[i];
	}
	return NULL;
}

struct section_entry *section_find(struct section *section, const char *name)
{
	struct section_entry *entry = look_section(section, name);

	if (entry)
		entry->used = true;
	return entry;
}

const char *section_text(struct section *section, const char *name)
{
	const struct section_entry *entry = section_find(section, name);

	if (!entry)
		return NULL;
	return entry->words.count ? entry->words.list[0] : "";
}

struct section_entry *section_entry(struct section *section, const char *name)
{
	struct section_entry *entry = look_section(section, name);

	if (entry || section->count == SECTION_MOST)
		return entry;
	entry = &section->entries[section->count];
	*entry = (struct section_entry){.name = strdup(name)};
	if (!entry->name)
		return NULL;
	section->count++;
	return entry;
}

int section_add(struct section *section, const char *name, const char *word)
{
	struct section_entry *entry = section_entry(section, name);

	return entry ? exec_words_add(&entry->words, word) : -ENOMEM;
}

void section_clear(struct section_entry *entry)
{
	for (size_t i = 0; i < entry->words.count; i++)
		free(entry->words.list[i]);
	free(entry->words.list);
	entry->words = (struct exec_words){0};
}

void section_fini(struct section *section)
{
	for (size_t i = 0; i < section->count; i++) {
		section_clear(&section->entries[i]);
		free(section->entries[i].name);
	}
	section->count = 0;
}
