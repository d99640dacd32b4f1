/* SPDX-License-Identifier: BSD-2-Clause */
/* What an xinetd service or a systemd unit's section says: names, each with a list of words. */
#ifndef SOCKETBOX_CLI_IMPORT_SECTION_H
#define SOCKETBOX_CLI_IMPORT_SECTION_H

#include "exec/exec_settings.h"

#define SECTION_MOST 64 /* names in a section; what is more is left out, with a note */

struct section_entry {
	char *name;
	struct exec_words words;
	bool used; /* somebody has asked for it: what nobody asks for is not translated */
};

/* Zero-initialise. */
struct section {
	struct section_entry entries[SECTION_MOST];
	size_t count;
};

/* The entry of this name, marked as used, or NULL. */
struct section_entry *section_find(struct section *section, const char *name);

/* Its first word, "" if it has none, or NULL if there is no such entry. */
const char *section_text(struct section *section, const char *name);

/* The same, made if it is missing; NULL out of memory or room. Not marked. */
struct section_entry *section_entry(struct section *section, const char *name);

/* -ENOMEM, also where the section is full. */
int section_add(struct section *section, const char *name, const char *word);

void section_clear(struct section_entry *entry); /* takes its words away */
void section_fini(struct section *section);

#endif
