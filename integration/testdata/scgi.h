/* What routes.c uses of libfcgi's fcgiapp.h, over SCGI: compiled with -DSCGI, routes.c is a
 * threaded SCGI server. The listening socket is file descriptor 0. The body is not read unless a
 * route reads it. */
#include <ctype.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
	FILE *file;
	long left; /* of the body, where it is read from */
} FCGX_Stream;

typedef struct {
	FCGX_Stream *in, *out, *err;
	char **envp; /* NAME=VALUE, made of the header in place */
	char *header;
	FCGX_Stream streams[3];
} FCGX_Request;

static void FCGX_Init(void) { signal(SIGPIPE, SIG_IGN); }

static void FCGX_InitRequest(FCGX_Request *r, int sock, int flags) {
	(void)sock;
	(void)flags;
	memset(r, 0, sizeof *r);
	r->in = &r->streams[0];
	r->out = &r->streams[1];
	r->err = &r->streams[2];
	r->err->file = stderr;
}

static char *FCGX_GetParam(const char *name, char **envp) {
	size_t n = strlen(name);
	for (; *envp; envp++)
		if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=') return *envp + n + 1;
	return NULL;
}

static void FCGX_Finish_r(FCGX_Request *r) {
	if (r->out->file) fclose(r->out->file);
	if (r->in->file) fclose(r->in->file);
	r->in->file = r->out->file = NULL;
	free(r->envp);
	free(r->header);
	r->envp = NULL;
	r->header = NULL;
}

/* scgi_header reads the netstring of a request, and reports whether it is one. */
static int scgi_header(FCGX_Request *r) {
	size_t size = 0, n = 0;
	int c;
	while (isdigit(c = getc(r->in->file)) && size < 1000000) size = size * 10 + (size_t)(c - '0');
	if (c != ':' || !(r->header = malloc(size + 1)) || !(r->envp = calloc(size / 2 + 2, sizeof *r->envp))) return 0;
	if (fread(r->header, 1, size + 1, r->in->file) != size + 1 || r->header[size] != ',') return 0;
	for (char *p = r->header; p < r->header + size; p += strlen(p) + 1) {
		r->envp[n++] = p;
		p += strlen(p);
		*p = '=';
	}
	const char *length = FCGX_GetParam("CONTENT_LENGTH", r->envp), *version = FCGX_GetParam("SCGI", r->envp);
	if (!length || !version || strcmp(version, "1") != 0) return 0;
	r->in->left = atol(length);
	return 1;
}

static int FCGX_Accept_r(FCGX_Request *r) {
	for (;;) {
		FCGX_Finish_r(r);
		int fd = accept(0, NULL, NULL);
		if (fd < 0) return -1;
		r->in->file = fdopen(fd, "r");
		r->out->file = fdopen(dup(fd), "w");
		if (scgi_header(r)) return 0;
	}
}

static int FCGX_GetStr(char *buf, int n, FCGX_Stream *s) {
	size_t take = s->left < n ? (size_t)s->left : (size_t)n;
	take = fread(buf, 1, take, s->file);
	s->left -= (long)take;
	return (int)take;
}

static int FCGX_PutStr(const char *buf, int n, FCGX_Stream *s) {
	return (int)fwrite(buf, 1, (size_t)n, s->file);
}

static int FCGX_FFlush(FCGX_Stream *s) { return fflush(s->file); }

__attribute__((format(printf, 2, 3))) static int FCGX_FPrintF(FCGX_Stream *s, const char *format, ...) {
	va_list args;
	va_start(args, format);
	int n = vfprintf(s->file, format, args);
	va_end(args);
	return n;
}
