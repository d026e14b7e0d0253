/*
 * A disk that refuses to be written to. Preloaded (LD_PRELOAD) into the daemon by refusing-disk.ts.
 *
 *   REFUSING_ROOT   the folder whose files are meant
 *   REFUSING_FLAG   a file: while it is there, what would change something below the folder fails
 *                   with the errno that it holds; with `once` behind it, only the next such call
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) \
  static __typeof__(name) *real; \
  if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* The errno to fail with, or 0. */
static int refusal(const char *path) {
  const char *root = getenv("REFUSING_ROOT"), *flag = getenv("REFUSING_FLAG");
  if (!root || !flag || strncmp(path, root, strlen(root)) != 0) return 0;
  char text[32] = "";
  int fd = (int)syscall(SYS_openat, AT_FDCWD, flag, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  if (syscall(SYS_read, fd, text, sizeof text - 1) < 0) text[0] = 0;
  syscall(SYS_close, fd);
  if (strstr(text, "once")) syscall(SYS_unlinkat, AT_FDCWD, flag, 0);
  return atoi(text);
}

static int refusal_of_file(int fd) {
  char link[64], path[PATH_MAX] = "";
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  return readlink(link, path, sizeof path - 1) < 0 ? 0 : refusal(path);
}

#define REFUSE(reason) \
  do { \
    int number = (reason); \
    if (number != 0) { \
      errno = number; \
      return -1; \
    } \
  } while (0)

int open64(const char *path, int flags, ...) {
  REAL(open64);
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  if ((flags & O_ACCMODE) != O_RDONLY) REFUSE(refusal(path));
  return real(path, flags, mode);
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
  int number = mode[0] == 'r' ? 0 : refusal(path);
  if (number == 0) return real(path, mode);
  errno = number;
  return NULL;
}

FILE *fopen(const char *path, const char *mode) { return fopen64(path, mode); }

/* LevelDB's way to write its files. */
#undef fwrite_unlocked
size_t fwrite_unlocked(const void *data, size_t size, size_t count, FILE *file) {
  REAL(fwrite_unlocked);
  int number = refusal_of_file(fileno(file));
  if (number == 0) return real(data, size, count, file);
  errno = number;
  return 0;
}

#define REFUSED(type, name, declared, reason, ...) \
  type name declared { \
    REAL(name); \
    REFUSE(reason); \
    return real(__VA_ARGS__); \
  }

REFUSED(ssize_t, write, (int fd, const void *data, size_t length), refusal_of_file(fd), fd, data,
        length)
REFUSED(ssize_t, writev, (int fd, const struct iovec *parts, int count), refusal_of_file(fd), fd,
        parts, count)
REFUSED(ssize_t, pwrite64, (int fd, const void *data, size_t length, off64_t offset),
        refusal_of_file(fd), fd, data, length, offset)
REFUSED(ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off64_t offset),
        refusal_of_file(fd), fd, parts, count, offset)
REFUSED(int, rename, (const char *from, const char *to), refusal(from), from, to)
REFUSED(int, unlink, (const char *path), refusal(path), path)
REFUSED(int, mkdir, (const char *path, mode_t mode), refusal(path), path, mode)
REFUSED(int, access, (const char *path, int mode), mode & W_OK ? refusal(path) : 0, path, mode)
