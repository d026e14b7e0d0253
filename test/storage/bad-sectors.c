/*
 * A disk with bad sectors. Preloaded (LD_PRELOAD) into the daemon by bad-sectors.ts.
 *
 *   BAD_SECTORS   a file, read at the start: in each line the inode of a file, and offset and length of
 *                 what cannot be read of it, in pages of 4096 bytes. A read fails there with EIO, as the
 *                 kernel's does; whoever looks at it through a mapping gets SIGBUS
 *   BAD_SECTORS_SPOIL   if set, also what comes before in the same read is not given
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) \
  static __typeof__(name) *real; \
  if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

typedef unsigned long long number;

static struct {
  number inode, offset, length;
} bad[64];
static int count, empty = -1;

__attribute__((constructor)) static void load(void) {
  FILE *list = fopen(getenv("BAD_SECTORS"), "r");
  if (!list) abort();
  while (count < 64 &&
         fscanf(list, "%llu %llu %llu", &bad[count].inode, &bad[count].offset, &bad[count].length) == 3)
    count++;
  fclose(list);
  empty = memfd_create("bad sector", MFD_CLOEXEC);
}

static number inode_of(int fd) {
  struct stat file;
  return count > 0 && fstat(fd, &file) == 0 ? file.st_ino : 0;
}

/* Of `length` bytes from `offset` on, those before the first that cannot be read; -1: it is the first. */
static ssize_t readable(int fd, number offset, size_t length) {
  number inode = inode_of(fd);
  for (int i = 0; i < count; i++) {
    if (bad[i].inode != inode || offset >= bad[i].offset + bad[i].length) continue;
    if (offset + length <= bad[i].offset) continue;
    if (offset >= bad[i].offset || getenv("BAD_SECTORS_SPOIL")) {
      errno = EIO;
      return -1;
    }
    length = bad[i].offset - offset;
  }
  return (ssize_t)length;
}

ssize_t pread64(int fd, void *data, size_t length, off64_t offset) {
  REAL(pread64);
  ssize_t good = readable(fd, (number)offset, length);
  return good < 0 ? -1 : real(fd, data, (size_t)good, offset);
}

ssize_t pread(int fd, void *data, size_t length, off_t offset) {
  return pread64(fd, data, length, offset);
}

ssize_t read(int fd, void *data, size_t length) {
  REAL(read);
  int before = errno;
  off_t offset = count > 0 ? lseek(fd, 0, SEEK_CUR) : -1;
  errno = before;
  if (offset < 0) return real(fd, data, length);
  ssize_t good = readable(fd, (number)offset, length);
  return good < 0 ? -1 : real(fd, data, (size_t)good);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
  REAL(mmap64);
  char *map = real(address, length, protection, flags, fd, offset);
  if (map == MAP_FAILED || fd < 0) return map;
  number inode = inode_of(fd), from = (number)offset, to = from + length;
  for (int i = 0; i < count; i++) {
    if (bad[i].inode != inode || bad[i].offset >= to || bad[i].offset + bad[i].length <= from) continue;
    number begin = bad[i].offset < from ? from : bad[i].offset;
    number end = bad[i].offset + bad[i].length > to ? to : bad[i].offset + bad[i].length;
    /* Behind the end of an empty file: there is nothing to be seen. */
    real(map + (begin - from), end - begin, protection, MAP_SHARED | MAP_FIXED, empty, 0);
  }
  return map;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  return mmap64(address, length, protection, flags, fd, offset);
}
