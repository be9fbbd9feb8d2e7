/* Fails the n-th call of one kind that touches a file: with an error, or, of reads and writes, cut short. A test that
 * includes this is linked with io_fault_dep (tests/unit/meson.build), which sends these calls here. Any thread.
 *
 * It also watches one thing by itself: a descriptor is synced by one thread only. The kernel tells an error of writing
 * back once to each open file, so whoever shares one may be told of none (R15). */
#ifndef EVGRID_TESTS_UNIT_IO_FAULT_H
#define EVGRID_TESTS_UNIT_IO_FAULT_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum io_call { IO_OPEN, IO_WRITE, IO_READ, IO_SYNC, IO_RENAME, IO_UNLINK, IO_STAT, IO_CALLS };

#define IO_FAULT_SHORT (-1) /* for an error: half of it is written or read */
#define IO_FAULT_FDS 1024

static atomic_int io_fault_call = IO_CALLS; /* IO_CALLS: none */
static atomic_int io_fault_error;
static atomic_long io_fault_left;
static atomic_bool io_fault_reached;
static atomic_bool io_fault_no_room; /* what fstatvfs says from now on */
static atomic_bool io_fault_shared;  /* two threads have synced one descriptor */
static pthread_t io_fault_syncer[IO_FAULT_FDS];
static atomic_bool io_fault_synced[IO_FAULT_FDS];

/* n = 1 fails the next one; one only. */
static inline void io_fault_at(enum io_call call, long n, int error)
{
	io_fault_left = n;
	io_fault_error = error;
	io_fault_reached = false;
	io_fault_call = (int)call;
}

/* 0, an errno value, or IO_FAULT_SHORT. */
static int io_fault_now(enum io_call call)
{
	if (io_fault_call != (int)call || atomic_fetch_sub(&io_fault_left, 1) != 1)
		return 0;
	io_fault_reached = true;
	return io_fault_error;
}

static bool io_fault_fails(enum io_call call)
{
	int error = io_fault_now(call);

	if (error > 0)
		errno = error;
	return error > 0;
}

static void io_fault_note_sync(int fd)
{
	if (fd < 0 || fd >= IO_FAULT_FDS)
		return;
	if (atomic_exchange(&io_fault_synced[fd], true) && !pthread_equal(io_fault_syncer[fd], pthread_self()))
		io_fault_shared = true;
	io_fault_syncer[fd] = pthread_self();
}

/* A length to go on with: all, half of it, or none because of an error. */
#define IO_FAULT_LENGTH(call, size)                \
	size_t length = (size);                    \
	int error = io_fault_now(call);            \
	if (error > 0) {                           \
		errno = error;                     \
		return -1;                         \
	}                                          \
	if (error == IO_FAULT_SHORT && length > 1) \
	length /= 2

int __real_open64(const char *path, int flags, ...);
int __real_openat64(int folder, const char *path, int flags, ...);
int __real_close(int fd);
ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __real_pread64(int fd, void *data, size_t size, off_t place);
ssize_t __real_pwrite64(int fd, const void *data, size_t size, off_t place);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_rename(const char *from, const char *to);
int __real_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __real_unlinkat(int folder, const char *path, int flags);
int __real_fstat64(int fd, struct stat *status);
int __real_fstatat64(int folder, const char *path, struct stat *status, int flags);
int __real_fstatvfs64(int fd, struct statvfs *status);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_openat64(int folder, const char *path, int flags, ...);
int __wrap_close(int fd);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_pread64(int fd, void *data, size_t size, off_t place);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t place);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __wrap_unlinkat(int folder, const char *path, int flags);
int __wrap_fstat64(int fd, struct stat *status);
int __wrap_fstatat64(int folder, const char *path, struct stat *status, int flags);
int __wrap_fstatvfs64(int fd, struct statvfs *status);

static mode_t io_fault_mode(int flags, va_list arguments)
{
	return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

int __wrap_open64(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = io_fault_mode(flags, arguments);
	va_end(arguments);
	return io_fault_fails(IO_OPEN) ? -1 : __real_open64(path, flags, mode);
}

int __wrap_openat64(int folder, const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = io_fault_mode(flags, arguments);
	va_end(arguments);
	return io_fault_fails(IO_OPEN) ? -1 : __real_openat64(folder, path, flags, mode);
}

int __wrap_close(int fd)
{
	if (fd >= 0 && fd < IO_FAULT_FDS)
		io_fault_synced[fd] = false;
	return __real_close(fd);
}

ssize_t __wrap_read(int fd, void *data, size_t size)
{
	IO_FAULT_LENGTH(IO_READ, size);
	return __real_read(fd, data, length);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	IO_FAULT_LENGTH(IO_WRITE, size);
	return __real_write(fd, data, length);
}

ssize_t __wrap_pread64(int fd, void *data, size_t size, off_t place)
{
	IO_FAULT_LENGTH(IO_READ, size);
	return __real_pread64(fd, data, length, place);
}

ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t place)
{
	IO_FAULT_LENGTH(IO_WRITE, size);
	return __real_pwrite64(fd, data, length, place);
}

int __wrap_fsync(int fd)
{
	return io_fault_fails(IO_SYNC) ? -1 : __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
	io_fault_note_sync(fd);
	return io_fault_fails(IO_SYNC) ? -1 : __real_fdatasync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
	return io_fault_fails(IO_RENAME) ? -1 : __real_rename(from, to);
}

int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to)
{
	return io_fault_fails(IO_RENAME) ? -1 : __real_renameat(from_folder, from, to_folder, to);
}

int __wrap_unlinkat(int folder, const char *path, int flags)
{
	return io_fault_fails(IO_UNLINK) ? -1 : __real_unlinkat(folder, path, flags);
}

int __wrap_fstat64(int fd, struct stat *status)
{
	return io_fault_fails(IO_STAT) ? -1 : __real_fstat64(fd, status);
}

int __wrap_fstatat64(int folder, const char *path, struct stat *status, int flags)
{
	return io_fault_fails(IO_STAT) ? -1 : __real_fstatat64(folder, path, status, flags);
}

int __wrap_fstatvfs64(int fd, struct statvfs *status)
{
	int rv = __real_fstatvfs64(fd, status);

	if (rv == 0 && io_fault_no_room)
		status->f_bavail = 0;
	return rv;
}

#endif
