/* A FastCGI authorizer with libfcgi: WORKERS threads that accept on file descriptor 0.
 * A request with the cookie user=NAME may pass, others are sent to log in. ?hold waits until the
 * file HOLD is not locked, ?die ends the process in the middle of an answer that lets pass. */
#include <fcgiapp.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char *param(FCGX_Request *r, const char *name)
{
	const char *value = FCGX_GetParam(name, r->envp);
	return value ? value : "";
}

static void hold(void)
{
	int fd = open(getenv("HOLD"), O_RDONLY);
	flock(fd, LOCK_SH);
	close(fd);
}

static void decide(FCGX_Request *r)
{
	const char *query = param(r, "QUERY_STRING");
	const char *user = strstr(param(r, "HTTP_COOKIE"), "user=");
	char body[16];
	if (strcmp(param(r, "FCGI_ROLE"), "AUTHORIZER") != 0 || FCGX_GetStr(body, sizeof body, r->in) > 0) {
		FCGX_FPrintF(r->out, "Status: 500\r\nContent-Type: text/plain\r\n\r\nrole %s\n", param(r, "FCGI_ROLE"));
		return;
	}
	if (strstr(query, "hold")) {
		hold();
	}
	if (strstr(query, "die")) {
		FCGX_FPrintF(r->out, "Status: 200 OK\r\nVariable-REMOTE_USER: nobody\r\n\r\n");
		FCGX_FFlush(r->out);
		_exit(1);
	}
	if (!user) {
		FCGX_FPrintF(r->out,
			"Status: 302 Found\r\nLocation: /login?to=%s\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
			"Variable-SECRET: s\r\nContent-Type: text/html\r\n\r\n<p>log in\n",
			param(r, "REQUEST_URI"));
		return;
	}
	FCGX_FPrintF(r->out,
		"Status: 200 OK\r\nVariable-REMOTE_USER: %s\r\nVariable-AUTH_TYPE: cookie\r\nVariable-Shib-Session-ID: _1\r\n"
		"Variable-SAW: %s %s/%s/%s\r\nVariable-HTTP_HOST: forged\r\nVariable-SCRIPT_NAME: /forged\r\n\r\nwelcome\n",
		user + 5, param(r, "REQUEST_METHOD"), param(r, "CONTENT_LENGTH"), param(r, "PATH_INFO"), param(r, "SCRIPT_NAME"));
}

static void *serve(void *unused)
{
	FCGX_Request r;
	FCGX_InitRequest(&r, 0, 0);
	while (FCGX_Accept_r(&r) == 0) {
		decide(&r);
		FCGX_Finish_r(&r);
	}
	return unused;
}

int main(void)
{
	int workers = atoi(getenv("WORKERS"));
	pthread_t thread;
	FCGX_Init();
	while (--workers > 0) {
		pthread_create(&thread, NULL, serve, NULL);
	}
	serve(NULL);
	return 0;
}
