/*
 * Preloaded into the gateway by the bench: counts fdatasync calls in a file of eight bytes
 * (BENCH_SYNC_COUNT) and, with BENCH_SYNC_SKIP=1, leaves them and fsync out. So the product needs
 * no unsafe option to be compared with itself.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t *count;
static int skips;
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);

__attribute__((constructor)) static void prepare(void) {
  const char *skip = getenv("BENCH_SYNC_SKIP");
  const char *path = getenv("BENCH_SYNC_COUNT");
  skips = skip != NULL && strcmp(skip, "1") == 0;
  real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  if (path == NULL) return;
  int file = open(path, O_RDWR);
  if (file < 0) return;
  void *mapped = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) count = mapped;
  close(file);
}

int fdatasync(int file) {
  if (count != NULL) atomic_fetch_add(count, 1);
  return skips ? 0 : real_fdatasync(file);
}

int fsync(int file) { return skips ? 0 : real_fsync(file); }
