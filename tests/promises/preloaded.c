/* Preloaded into a run by tests/promises: a clock that is wrong by CLOCK_OFFSET seconds, and jumps between two
   readings by CLOCK_JUMP more; and a disk that hangs for ever when the HANG_FROM-th Parquet file is begun, having
   made the file HANG_MARK. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long seconds_off(void) {
    static unsigned readings;
    const char *offset = getenv("CLOCK_OFFSET"), *jump = getenv("CLOCK_JUMP");
    return (offset ? atol(offset) : 0) + (__sync_fetch_and_add(&readings, 1) % 2 && jump ? atol(jump) : 0);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    long failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += seconds_off();
    return (int)failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    if (!failed) *time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return failed;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}

ssize_t write(int file, const void *bytes, size_t length) {
    static int begun;
    const char *from = getenv("HANG_FROM"), *mark = getenv("HANG_MARK");
    int begins = length >= 4 && !memcmp(bytes, "PAR1", 4);
    if (from && mark && begins && __sync_add_and_fetch(&begun, 1) >= atoi(from)) {
        syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, mark, O_WRONLY | O_CREAT, 0600));
        for (;;) pause();
    }
    return syscall(SYS_write, file, bytes, length);
}
