// Preloaded into the daemon by the clock tests: the wall clock is shifted by what a file says, in
// ms, at every call. The monotonic clock, by which timers run, stays as it is.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift_ms;

__attribute__((constructor)) static void open_shift(void) {
  const char *path = getenv("CLOCK_SHIFT");
  int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) abort();
  void *mapped = mmap(NULL, sizeof *shift_ms, PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) abort();
  shift_ms = mapped;
  close(file);
}

// Something may ask for the time before this library's constructor ran.
static int64_t shift_s(void) { return shift_ms == NULL ? 0 : *shift_ms / 1000; }

int clock_gettime(clockid_t which, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(which, now);
  int is_wall = which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE;
  if (status == 0 && is_wall) now->tv_sec += shift_s();
  return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  static int (*real)(struct timeval *, void *);
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "gettimeofday");
  int status = real(now, zone);
  if (status == 0) now->tv_sec += shift_s();
  return status;
}

time_t time(time_t *result) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return (time_t)-1;
  if (result != NULL) *result = now.tv_sec;
  return now.tv_sec;
}
