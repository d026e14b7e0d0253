/*
 * Records what a process writes, syncs, renames and removes below one folder, with the time at
 * which each call began and ended. Preloaded (LD_PRELOAD) into the daemon by trace.ts, which also
 * reads what it writes.
 *
 *   POWERCUT_ROOT    the folder
 *   POWERCUT_TRACE   the file the records are appended to
 *
 * A record: kind (1 byte), three zero bytes, length of the first path, of the second, of the data
 * (u32 each), file, flags or offset or size, begin and end in ns of CLOCK_MONOTONIC (u64 each), then
 * the paths and the data. Numbers are little-endian. What is written to a buffered FILE is recorded
 * when the process writes it, which is no later than when the kernel gets it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS 65536

struct record {
  uint32_t kind, path_length, other_length, data_length;
  uint64_t file, number, begin, end;
};

static struct { uint64_t file, offset; int appends; } open_files[DESCRIPTORS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t last_file;
static int trace = -1;
static const char *root;
static size_t root_length;

#define REAL(name) \
  static __typeof__(name) *real; \
  if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

__attribute__((constructor)) static void begin_trace(void) {
  const char *path = getenv("POWERCUT_TRACE");
  root = getenv("POWERCUT_ROOT");
  if (!path || !root) return;
  root_length = strlen(root);
  trace = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  last_file = (uint64_t)getpid() << 32;
}

static int is_recorded(const char *path) {
  if (trace < 0 || strncmp(path, root, root_length) != 0) return 0;
  return path[root_length] == '/' || path[root_length] == 0;
}

static void append(char kind, uint64_t file, uint64_t number, uint64_t begin, const char *path,
                   const char *other, const void *data, size_t length) {
  size_t path_length = path ? strlen(path) : 0, other_length = other ? strlen(other) : 0;
  struct record record = {(uint32_t)kind, (uint32_t)path_length, (uint32_t)other_length,
                          (uint32_t)length, file, number, begin, now()};
  struct iovec parts[] = {{&record, sizeof record},
                          {(void *)path, path_length},
                          {(void *)other, other_length},
                          {(void *)data, length}};
  syscall(SYS_writev, trace, parts, 4);
}

static void write_record(char kind, uint64_t file, uint64_t number, uint64_t begin,
                         const char *path, const char *other, const void *data, size_t length) {
  pthread_mutex_lock(&lock);
  append(kind, file, number, begin, path, other, data, length);
  pthread_mutex_unlock(&lock);
}

static int is_known(int fd) { return fd >= 0 && fd < DESCRIPTORS && open_files[fd].file != 0; }

static void opened(int fd, const char *path, int flags, uint64_t begin) {
  struct stat status;
  if (fd < 0 || fd >= DESCRIPTORS || !is_recorded(path)) return;
  if ((flags & O_ACCMODE) == O_RDONLY && (fstat(fd, &status) != 0 || !S_ISDIR(status.st_mode)))
    return;
  pthread_mutex_lock(&lock);
  open_files[fd].file = ++last_file;
  open_files[fd].offset = 0;
  open_files[fd].appends = (flags & O_APPEND) != 0;
  append('o', open_files[fd].file, (uint64_t)flags, begin, path, NULL, NULL, 0);
  pthread_mutex_unlock(&lock);
}

static void wrote(int fd, int64_t offset, const void *data, ssize_t length, uint64_t begin) {
  if (length <= 0 || !is_known(fd)) return;
  pthread_mutex_lock(&lock);
  uint64_t at = offset >= 0 ? (uint64_t)offset : open_files[fd].offset;
  if (offset < 0) open_files[fd].offset += (uint64_t)length;
  append(open_files[fd].appends ? 'a' : 'w', open_files[fd].file, at, begin, NULL, NULL, data,
         (size_t)length);
  pthread_mutex_unlock(&lock);
}

int open64(const char *path, int flags, ...) {
  REAL(open64);
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  uint64_t begin = now();
  int fd = real(path, flags, mode);
  opened(fd, path, flags, begin);
  return fd;
}

int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open64(path, flags, mode);
}

FILE *fopen64(const char *path, const char *mode) {
  REAL(fopen64);
  uint64_t begin = now();
  FILE *file = real(path, mode);
  int flags = mode[0] == 'w'   ? O_WRONLY | O_CREAT | O_TRUNC
              : mode[0] == 'a' ? O_WRONLY | O_CREAT | O_APPEND
                               : O_RDONLY;
  if (file) opened(fileno(file), path, flags, begin);
  return file;
}

FILE *fopen(const char *path, const char *mode) { return fopen64(path, mode); }

int close(int fd) {
  REAL(close);
  if (is_known(fd)) open_files[fd].file = 0;
  return real(fd);
}

int fclose(FILE *file) {
  REAL(fclose);
  int fd = fileno(file);
  if (is_known(fd)) open_files[fd].file = 0;
  return real(file);
}

#undef fwrite_unlocked
size_t fwrite_unlocked(const void *data, size_t size, size_t count, FILE *file) {
  REAL(fwrite_unlocked);
  uint64_t begin = now();
  size_t written = real(data, size, count, file);
  wrote(fileno(file), -1, data, (ssize_t)(written * size), begin);
  return written;
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
  REAL(fwrite);
  uint64_t begin = now();
  size_t written = real(data, size, count, file);
  wrote(fileno(file), -1, data, (ssize_t)(written * size), begin);
  return written;
}

ssize_t write(int fd, const void *data, size_t length) {
  REAL(write);
  uint64_t begin = now();
  ssize_t written = real(fd, data, length);
  wrote(fd, -1, data, written, begin);
  return written;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
  REAL(pwrite64);
  uint64_t begin = now();
  ssize_t written = real(fd, data, length, offset);
  wrote(fd, offset, data, written, begin);
  return written;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  REAL(pwritev64);
  if (!is_known(fd)) return real(fd, parts, count, offset);
  ssize_t total = 0;
  for (int i = 0; i < count; i++) {
    ssize_t written = pwrite64(fd, parts[i].iov_base, parts[i].iov_len, offset + total);
    if (written < 0) return total > 0 ? total : written;
    total += written;
    if ((size_t)written < parts[i].iov_len) break;
  }
  return total;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(writev);
  if (!is_known(fd)) return real(fd, parts, count);
  ssize_t total = 0;
  for (int i = 0; i < count; i++) {
    ssize_t written = write(fd, parts[i].iov_base, parts[i].iov_len);
    if (written < 0) return total > 0 ? total : written;
    total += written;
    if ((size_t)written < parts[i].iov_len) break;
  }
  return total;
}

int ftruncate64(int fd, off64_t length) {
  REAL(ftruncate64);
  uint64_t begin = now();
  int result = real(fd, length);
  if (result == 0 && is_known(fd))
    write_record('t', open_files[fd].file, (uint64_t)length, begin, NULL, NULL, NULL, 0);
  return result;
}

static int synced(int fd, int (*real)(int)) {
  uint64_t begin = now();
  int result = real(fd);
  if (result == 0 && is_known(fd))
    write_record('s', open_files[fd].file, 0, begin, NULL, NULL, NULL, 0);
  return result;
}

int fsync(int fd) {
  REAL(fsync);
  return synced(fd, real);
}

int fdatasync(int fd) {
  REAL(fdatasync);
  return synced(fd, real);
}

int rename(const char *from, const char *to) {
  REAL(rename);
  uint64_t begin = now();
  int result = real(from, to);
  if (result == 0 && is_recorded(from)) write_record('r', 0, 0, begin, from, to, NULL, 0);
  return result;
}

#define ONE_PATH(name, kind, declared, ...) \
  int name declared { \
    REAL(name); \
    uint64_t begin = now(); \
    int result = real(__VA_ARGS__); \
    if (result == 0 && is_recorded(path)) write_record(kind, 0, 0, begin, path, NULL, NULL, 0); \
    return result; \
  }

ONE_PATH(unlink, 'u', (const char *path), path)
ONE_PATH(rmdir, 'u', (const char *path), path)
ONE_PATH(mkdir, 'm', (const char *path, mode_t mode), path, mode)
