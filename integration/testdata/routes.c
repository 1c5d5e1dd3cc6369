/* The routes of this package (see doc.go) as a threaded libfcgi responder, or, compiled
 * with -DSCGI, as a threaded SCGI server: WORKERS threads, the listening socket on file
 * descriptor 0. With ACCEPT_LOCK set there is a mutex around FCGX_Accept_r, as in
 * libfcgi's own threaded.c: on a kept connection that call waits for the next request,
 * mutex held, and so one idle connection stops every other thread.
 *
 *     /poll?t=&ms=       the token, after so many milliseconds */
#ifdef SCGI
#include "scgi.h"
#else
#include <fcgi_config.h>
#include <fcgiapp.h>
#endif
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "sha256.h"

static pthread_mutex_t accepting = PTHREAD_MUTEX_INITIALIZER;
static int accept_lock; /* set before the threads start */

static const char *param(FCGX_Request *r, const char *name) {
	const char *v = FCGX_GetParam(name, r->envp);
	return v ? v : "";
}

/* query finds a value in QUERY_STRING; the tests escape nothing in it. */
static const char *query(FCGX_Request *r, const char *name, char *out, size_t size) {
	size_t len = strlen(name);
	out[0] = 0;
	for (const char *p = param(r, "QUERY_STRING"); *p; p += strcspn(p, "&"), p += *p == '&') {
		if (strncmp(p, name, len) == 0 && p[len] == '=') {
			size_t n = strcspn(p + len + 1, "&");
			if (n >= size) n = size - 1;
			memcpy(out, p + len + 1, n);
			out[n] = 0;
			break;
		}
	}
	return out;
}

static long number(FCGX_Request *r, const char *name) {
	char v[32];
	return atol(query(r, name, v, sizeof v));
}

/* gate_open opens one of the two FIFOs that a test steers a request with. */
static int gate_open(FCGX_Request *r, const char *end, int flags) {
	char dir[512], path[600];
	snprintf(path, sizeof path, "%s/%s", query(r, "gate", dir, sizeof dir), end);
	return open(path, flags);
}

static void gate_enter(FCGX_Request *r) {
	int fd = gate_open(r, "in", O_WRONLY);
	if (write(fd, "i", 1) != 1) FCGX_FPrintF(r->err, "gate: cannot write\n");
	close(fd);
}

/* gate_pass waits for one byte; the end of the test (EOF) lets all pass. */
static void gate_pass(int fd) {
	char c;
	while (read(fd, &c, 1) < 0) {
	}
}

static void body(FCGX_Request *r) {
	sha256 sum;
	char buf[65536], hex[65];
	int n;
	sha256_init(&sum);
	while ((n = FCGX_GetStr(buf, sizeof buf, r->in)) > 0) sha256_write(&sum, buf, n);
	long length = (long)sum.length;
	sha256_hex(&sum, hex);
	FCGX_FPrintF(r->out, "Content-Type: text/plain\r\n\r\ncontent_length=%s\nlength=%ld\nsha256=%s\n",
		param(r, "CONTENT_LENGTH"), length, hex);
}

static void echo(FCGX_Request *r) {
	char buf[65536];
	int n;
	FCGX_FPrintF(r->out, "Content-Type: application/octet-stream\r\n\r\n");
	while ((n = FCGX_GetStr(buf, sizeof buf, r->in)) > 0) FCGX_PutStr(buf, n, r->out);
}

static void download(FCGX_Request *r) {
	char block[65536];
	long n = number(r, "n");
	for (int i = 0; i < (int)sizeof block; i++) block[i] = (char)(i * 31 + (i >> 8));
	FCGX_FPrintF(r->out, "Content-Type: application/octet-stream\r\nContent-Length: %ld\r\n\r\n", n);
	for (; n > 0; n -= sizeof block) {
		int take = n < (long)sizeof block ? (int)n : (int)sizeof block;
		if (FCGX_PutStr(block, take, r->out) != take) return;
	}
}

static void stream(FCGX_Request *r) {
	char kind[16];
	long n = number(r, "n");
	int go = gate_open(r, "go", O_RDONLY);
	query(r, "kind", kind, sizeof kind);
	FCGX_FPrintF(r->out, "Content-Type: %s\r\n%s\r\n",
		strcmp(kind, "events") == 0 ? "text/event-stream" : "text/plain",
		strcmp(kind, "accel") == 0 ? "X-Accel-Buffering: no\r\n" : "");
	for (long i = 0; i < n; i++) {
		FCGX_FPrintF(r->out, "data: %ld\n\n", i);
		if (FCGX_FFlush(r->out) != 0) break;
		gate_pass(go);
	}
	close(go);
}

static void wait_at_gate(FCGX_Request *r) {
	int go = gate_open(r, "go", O_RDONLY);
	gate_enter(r);
	gate_pass(go);
	close(go);
	FCGX_FPrintF(r->out, "Content-Type: text/plain\r\n\r\nwaited\n");
}

static void poll_for(FCGX_Request *r) {
	char token[256];
	long ms = number(r, "ms");
	struct timespec wait = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&wait, NULL);
	FCGX_FPrintF(r->out, "Content-Type: text/plain\r\n\r\n%s", query(r, "t", token, sizeof token));
}

static void flood(FCGX_Request *r) {
	char line[1024];
	memset(line, 'e', sizeof line);
	line[sizeof line - 1] = '\n';
	for (long n = number(r, "n"); n > 0; n -= sizeof line)
		FCGX_PutStr(line, n < (long)sizeof line ? (int)n : (int)sizeof line, r->err);
	FCGX_FPrintF(r->out, "Content-Type: text/plain\r\n\r\nafter the flood\n");
}

/* die ends the whole process: inside the header, or inside the body when the
 * gate opens. */
static void die(FCGX_Request *r) {
	char at[16];
	if (strcmp(query(r, "at", at, sizeof at), "body") == 0) {
		int go = gate_open(r, "go", O_RDONLY);
		FCGX_FPrintF(r->out, "Content-Type: text/plain\r\n\r\nthe beginning of");
		FCGX_FFlush(r->out);
		gate_pass(go);
	} else {
		FCGX_FPrintF(r->out, "Content-Type: text/pl");
		FCGX_FFlush(r->out);
	}
	_exit(1);
}

static void serve(FCGX_Request *r) {
	const char *path = param(r, "PATH_INFO");
	char value[256];
	if (strcmp(path, "/hello") == 0) {
		FCGX_FPrintF(r->out, "Content-Type: text/plain\r\n\r\nhello\n");
	} else if (strncmp(path, "/params", 7) == 0) {
		FCGX_FPrintF(r->out, "Content-Type: text/plain\r\n\r\n");
		for (char **e = r->envp; *e; e++) FCGX_FPrintF(r->out, "%s\n", *e);
	} else if (strcmp(path, "/token") == 0) {
		FCGX_FPrintF(r->out, "Content-Type: text/plain\r\n\r\n%s", query(r, "t", value, sizeof value));
	} else if (strcmp(path, "/status") == 0) {
		FCGX_FPrintF(r->out, "Status: %ld\r\n\r\n", number(r, "code"));
	} else if (strcmp(path, "/cookies") == 0) {
		FCGX_FPrintF(r->out, "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Type: text/plain\r\n\r\n");
	} else if (strcmp(path, "/short") == 0) {
		FCGX_FPrintF(r->out, "Content-Type: text/plain\r\nContent-Length: 1000\r\n\r\n0123456789");
	} else if (strcmp(path, "/early") == 0) {
		FCGX_FPrintF(r->out, "Content-Type: text/plain\r\n\r\nearly\n");
	} else if (strcmp(path, "/body") == 0) {
		body(r);
	} else if (strcmp(path, "/echo") == 0) {
		echo(r);
	} else if (strcmp(path, "/download") == 0) {
		download(r);
	} else if (strcmp(path, "/stream") == 0) {
		stream(r);
	} else if (strcmp(path, "/wait") == 0) {
		wait_at_gate(r);
	} else if (strcmp(path, "/poll") == 0) {
		poll_for(r);
	} else if (strcmp(path, "/stderr") == 0) {
		flood(r);
	} else if (strcmp(path, "/die") == 0) {
		die(r);
	} else {
		FCGX_FPrintF(r->out, "Status: 404\r\nContent-Type: text/plain\r\n\r\nno such route\n");
	}
}

static void *worker(void *unused) {
	FCGX_Request r;
	(void)unused;
	FCGX_InitRequest(&r, 0, 0);
	for (;;) {
		if (accept_lock) pthread_mutex_lock(&accepting);
		int failed = FCGX_Accept_r(&r);
		if (accept_lock) pthread_mutex_unlock(&accepting);
		if (failed) return NULL;
		serve(&r);
		FCGX_Finish_r(&r);
	}
}

int main(void) {
	const char *workers = getenv("WORKERS");
	pthread_t thread;
	accept_lock = getenv("ACCEPT_LOCK") != NULL;
	FCGX_Init();
	for (int i = workers ? atoi(workers) : 4; i > 1; i--) pthread_create(&thread, NULL, worker, NULL);
	worker(NULL);
	return 0;
}
