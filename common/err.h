/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one error record: a negative errno for the program and a sentence for the user. It is a
 * fixed-size value owned by the caller, so that reporting an error can neither allocate nor fail.
 */
#ifndef SOCKETBOX_COMMON_ERR_H
#define SOCKETBOX_COMMON_ERR_H

#define ERR_TEXT_SIZE 768

struct err {
	int code;		  /* negative errno */
	char text[ERR_TEXT_SIZE]; /* NUL-terminated, no newline at its end, cut to fit */
};

/* Both fill *err (which may be NULL) and return code, so that a failing site is one line:
 * err_set takes the text as it is, err_errno adds ": " and the meaning of code. */
int err_set(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int err_errno(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts the formatted text and ": " before what *err already says; returns err->code. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
