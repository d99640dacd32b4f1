/* SPDX-License-Identifier: BSD-2-Clause */
/* What top shows, as lines of text. */
#ifndef SOCKETBOX_CLI_TOP_PAGE_H
#define SOCKETBOX_CLI_TOP_PAGE_H

#include <stdint.h>
#include <stdio.h>

#include "cli/top/rates.h"

struct page {
	FILE *out;
	unsigned width, height; /* of the window; 0: plain text, whatever its length */
	const char *fault;	/* why the figures are old; NULL: they are not */
	uint32_t interval_ms;
};

/* In a window, exactly as many lines as it has, each with the sequences that put it in place. */
void page_print(
	const struct page *page, const struct status_model *model, const struct rates *rates);

#endif
