/* To be preloaded: the time of the day is as many seconds off as the file CLOCK_FILE says. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	char text[32];
	const char *file = getenv("CLOCK_FILE");
	int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	long n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	int result = syscall(SYS_gettimeofday, tv, tz);
	if (fd >= 0)
		close(fd);
	if (n > 0 && result == 0) {
		text[n] = 0;
		tv->tv_sec += atol(text);
	}
	return result;
}
