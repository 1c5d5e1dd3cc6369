/* A COMET daemon with libfcgi: one thread accepts, over a large array of requests and
 * with a lock around FCGX_Accept_r, and another one answers and finishes them, polls when
 * their time has come. FCGX_Accept_r on an element whose connection was kept reads that
 * connection, and accepts nobody meanwhile: one kept, unused connection stops the whole
 * program. Which element comes next says ORDER: the first that is not in use, or, by
 * default, the next one in turn.
 *
 *     /hello             "hello\n"
 *     /token?t=          the token
 *     /poll?t=&ms=       the token, after so many milliseconds
 *
 * The listening socket is file descriptor 0. */
#include <fcgi_config.h>
#include <fcgiapp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { slots = 4096 };

struct slot {
	FCGX_Request request;
	struct timespec due; /* when it is answered */
	enum { unused, accepted } state;
};

static struct slot slot[slots];
static pthread_mutex_t accepting = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards due and state */
static pthread_cond_t changed;

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

static int before(const struct timespec *a, const struct timespec *b) {
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* due is when a request is to be answered: at once, unless it is a poll. */
static struct timespec due(FCGX_Request *r) {
	struct timespec t;
	char ms[32];
	clock_gettime(CLOCK_MONOTONIC, &t);
	if (strcmp(param(r, "PATH_INFO"), "/poll") == 0) {
		long wait = atol(query(r, "ms", ms, sizeof ms));
		t.tv_sec += wait / 1000;
		t.tv_nsec += wait % 1000 * 1000000;
		if (t.tv_nsec >= 1000000000) {
			t.tv_sec++;
			t.tv_nsec -= 1000000000;
		}
	}
	return t;
}

static void answer(FCGX_Request *r) {
	char token[256];
	if (strcmp(param(r, "PATH_INFO"), "/hello") == 0)
		FCGX_FPrintF(r->out, "Content-Type: text/plain\r\n\r\nhello\n");
	else
		FCGX_FPrintF(r->out, "Content-Type: text/plain\r\n\r\n%s", query(r, "t", token, sizeof token));
}

/* finisher answers each request when its time has come. */
static void *finisher(void *none) {
	pthread_mutex_lock(&mutex);
	for (;;) {
		struct slot *next = NULL;
		struct timespec now;
		for (int i = 0; i < slots; i++)
			if (slot[i].state == accepted && (next == NULL || before(&slot[i].due, &next->due))) next = &slot[i];
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (next == NULL) {
			pthread_cond_wait(&changed, &mutex);
		} else if (before(&now, &next->due)) {
			struct timespec until = next->due;
			pthread_cond_timedwait(&changed, &mutex, &until);
		} else {
			pthread_mutex_unlock(&mutex);
			answer(&next->request);
			FCGX_Finish_r(&next->request);
			pthread_mutex_lock(&mutex);
			next->state = unused;
			pthread_cond_broadcast(&changed);
		}
	}
	return none;
}

/* acceptor has elements that are not in use accept the requests. */
static int acceptor(int first) {
	for (int from = 0;;) {
		struct slot *free = NULL;
		pthread_mutex_lock(&mutex);
		while (free == NULL) {
			for (int i = 0; i < slots && free == NULL; i++)
				if (slot[(from + i) % slots].state == unused) free = &slot[(from + i) % slots];
			if (free == NULL) pthread_cond_wait(&changed, &mutex);
		}
		pthread_mutex_unlock(&mutex);
		if (!first) from = (int)(free - slot) + 1;

		pthread_mutex_lock(&accepting);
		int failed = FCGX_Accept_r(&free->request);
		pthread_mutex_unlock(&accepting);
		if (failed) return 1;

		pthread_mutex_lock(&mutex);
		free->due = due(&free->request);
		free->state = accepted;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&mutex);
	}
}

int main(void) {
	pthread_t thread;
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &attr);
	FCGX_Init();
	for (int i = 0; i < slots; i++) FCGX_InitRequest(&slot[i].request, 0, 0);
	pthread_create(&thread, NULL, finisher, NULL);
	const char *order = getenv("ORDER");
	return acceptor(order != NULL && strcmp(order, "first") == 0);
}
