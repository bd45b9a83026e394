/* The wall clock of a process, as far from the true one as the file says that TURNOUT_TEST_CLOCK names: whole seconds,
   eight bytes. A monotonic clock is left alone, as it is when somebody sets a machine's date; and who waits until a
   time of the wall clock is waked at the true time that this is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_s;
static int (*true_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TURNOUT_TEST_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) offset_s = mapped;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    if (!true_clock) true_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = true_clock(which, now);
    if (!failed && offset_s && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += *offset_s;
    return failed;
}

time_t time(time_t *told) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (told) *told = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *told, void *zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    told->tv_sec = now.tv_sec;
    told->tv_usec = now.tv_nsec / 1000;
    return 0;
}

/* A time since the machine's start is below this, a time since 1970 above. */
#define LEAST_WALL_TIME 1000000000

static struct timespec truly(const struct timespec *until) {
    struct timespec found = *until;
    if (offset_s && found.tv_sec > LEAST_WALL_TIME) found.tv_sec -= *offset_s;
    return found;
}

int sem_timedwait(sem_t *waited, const struct timespec *until) {
    static int (*wait)(sem_t *, const struct timespec *);
    if (!wait) wait = (int (*)(sem_t *, const struct timespec *))dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec found = truly(until);
    return wait(waited, &found);
}

int pthread_cond_timedwait(pthread_cond_t *waited, pthread_mutex_t *held, const struct timespec *until) {
    static int (*wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    typedef int (*waiting)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!wait) wait = (waiting)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!wait) wait = (waiting)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    struct timespec found = truly(until);
    return wait(waited, held, &found);
}
