/* Counts the calls of a program on files below one folder, and makes the n-th of them the last one, or fail.
 *
 * Loaded with LD_PRELOAD. It does nothing until `crash_arm` is called, or, in a program that does not know of it, the
 * file named by CRASH_PLAN has said the same. Each call is written to a log, which outlives a kill.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, CREATE = 2, WRITE = 4, SYNC = 8, NAME = 16, REMOVE = 32, FOLDER = 64, SEND = 128 };
enum { KILL = -1, TORN = -2 }; /* above 0: an errno */

static char root[PATH_MAX];
static size_t root_length;
static int log_file = -1, mode, lasts, kinds;
static long wanted;
static _Atomic long count;
static _Atomic int is_armed;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

void crash_arm(const char *folder, const char *log, long nth, int what, int for_good, int which)
{
    is_armed = 0;
    if (log_file >= 0) close(log_file);
    snprintf(root, sizeof root, "%s", folder);
    root_length = strlen(root);
    log_file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    wanted = nth, mode = what, lasts = for_good, kinds = which, count = 0;
    is_armed = 1;
}

void crash_disarm(void) { is_armed = 0; }

__attribute__((constructor)) static void read_plan(void)
{
    const char *name = getenv("CRASH_PLAN");
    FILE *plan = name ? fopen(name, "r") : NULL;
    char folder[PATH_MAX], log[PATH_MAX];
    long nth;
    int what, for_good, which;
    if (!plan) return;
    if (fscanf(plan, "%4095s %4095s %ld %d %d %d", folder, log, &nth, &what, &for_good, &which) == 6)
        crash_arm(folder, log, nth, what, for_good, which);
    fclose(plan);
}

static int is_ours(const char *path)
{
    return !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static int path_of(int fd, char *path)
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return 1;
}

static int path_at(int folder, const char *name, char *path)
{
    if (name[0] == '/') return snprintf(path, PATH_MAX, "%s", name) > 0;
    if (folder == AT_FDCWD ? !getcwd(path, PATH_MAX) : !path_of(folder, path)) return 0;
    size_t length = strlen(path);
    return snprintf(path + length, PATH_MAX - length, "/%s", name) > 0;
}

static void note(const char *what, int kind, const char *call, const char *path, const char *other)
{
    char line[2 * PATH_MAX + 64];
    int size = snprintf(line, sizeof line, "%s\t%s\t%s\t%s\t%d\n", what, call, path, other ? other : "", kind);
    syscall(SYS_write, log_file, line, (size_t)size);
}

static void die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether this call is to fail, with errno set. `*size`, where given, is how much of a write is still to be done. */
static int strikes(int kind, const char *call, const char *path, const char *other, size_t *size)
{
    if (!is_armed || !(is_ours(path) || (other && is_ours(other)) || kind == SEND)) return 0;
    if (!(kinds & kind)) {
        note("call", kind, call, path, other);
        return 0;
    }
    long number = ++count;
    if (number != wanted && !(lasts && number > wanted)) {
        note("call", kind, call, path, other);
        return 0;
    }
    if (mode == TORN && size && *size > 1) {
        note("torn", kind, call, path, other);
        *size /= 2;
        return -1; /* write that, then die */
    }
    note("hit", kind, call, path, other);
    if (mode < 0) die();
    errno = mode;
    return 1;
}

static int on_fd(int kind, const char *call, int fd, size_t *size)
{
    char path[PATH_MAX];
    int before = errno;
    int struck = is_armed && path_of(fd, path) ? strikes(kind, call, path, NULL, size) : 0;
    if (struck != 1) errno = before;
    return struck;
}

static int on_path(int kind, const char *call, int folder, const char *name, int other_folder, const char *other)
{
    char path[PATH_MAX], second[PATH_MAX];
    int before = errno;
    if (!is_armed || !path_at(folder, name, path)) return 0;
    if (other && !path_at(other_folder, other, second)) return 0;
    int struck = strikes(kind, call, path, other ? second : NULL, NULL);
    if (struck != 1) errno = before;
    return struck;
}

static int kind_of_open(int flags) { return flags & (O_CREAT | O_TRUNC) ? CREATE : OPEN; }

#define OPENED(name) \
    int name(const char *path, int flags, ...) \
    { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t bits = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return on_path(kind_of_open(flags), "open", AT_FDCWD, path, 0, NULL) ? -1 : real(path, flags, bits); \
    }
OPENED(open)
OPENED(open64)

#define OPENED_AT(name) \
    int name(int folder, const char *path, int flags, ...) \
    { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t bits = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return on_path(kind_of_open(flags), "open", folder, path, 0, NULL) ? -1 : real(folder, path, flags, bits); \
    }
OPENED_AT(openat)
OPENED_AT(openat64)

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(write);
    int struck = on_fd(WRITE, "write", fd, &size);
    if (struck == 1) return -1;
    ssize_t done = real(fd, data, size);
    if (struck == -1) die();
    return done;
}

#define WRITTEN_AT(name, offset_type) \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset) \
    { \
        REAL(name); \
        int struck = on_fd(WRITE, "write", fd, &size); \
        if (struck == 1) return -1; \
        ssize_t done = real(fd, data, size, offset); \
        if (struck == -1) die(); \
        return done; \
    }
WRITTEN_AT(pwrite, off_t)
WRITTEN_AT(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int number)
{
    REAL(writev);
    return on_fd(WRITE, "write", fd, NULL) ? -1 : real(fd, parts, number);
}

/* What goes to another machine counts as well; what wakes up an event loop does not. */
static int is_network(int fd)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    return !getsockname(fd, (struct sockaddr *)&name, &size) && name.ss_family != AF_UNIX;
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    REAL(send);
    return is_armed && is_network(fd) && on_fd(SEND, "send", fd, NULL) ? -1 : real(fd, data, size, flags);
}

int ftruncate(int fd, off_t size)
{
    REAL(ftruncate);
    return on_fd(WRITE, "truncate", fd, NULL) ? -1 : real(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    REAL(ftruncate64);
    return on_fd(WRITE, "truncate", fd, NULL) ? -1 : real(fd, size);
}

int fsync(int fd)
{
    REAL(fsync);
    return on_fd(SYNC, "sync", fd, NULL) ? -1 : real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return on_fd(SYNC, "sync", fd, NULL) ? -1 : real(fd);
}

int rename(const char *old, const char *new)
{
    REAL(rename);
    return on_path(NAME, "rename", AT_FDCWD, old, AT_FDCWD, new) ? -1 : real(old, new);
}

int renameat(int from, const char *old, int to, const char *new)
{
    REAL(renameat);
    return on_path(NAME, "rename", from, old, to, new) ? -1 : real(from, old, to, new);
}

int link(const char *old, const char *new)
{
    REAL(link);
    return on_path(NAME, "link", AT_FDCWD, old, AT_FDCWD, new) ? -1 : real(old, new);
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    REAL(linkat);
    return on_path(NAME, "link", from, old, to, new) ? -1 : real(from, old, to, new, flags);
}

int unlink(const char *path)
{
    REAL(unlink);
    return on_path(REMOVE, "unlink", AT_FDCWD, path, 0, NULL) ? -1 : real(path);
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat);
    const char *call = flags & AT_REMOVEDIR ? "rmdir" : "unlink";
    return on_path(REMOVE, call, folder, path, 0, NULL) ? -1 : real(folder, path, flags);
}

int rmdir(const char *path)
{
    REAL(rmdir);
    return on_path(REMOVE, "rmdir", AT_FDCWD, path, 0, NULL) ? -1 : real(path);
}

int mkdir(const char *path, mode_t bits)
{
    REAL(mkdir);
    return on_path(FOLDER, "mkdir", AT_FDCWD, path, 0, NULL) ? -1 : real(path, bits);
}

int mkdirat(int folder, const char *path, mode_t bits)
{
    REAL(mkdirat);
    return on_path(FOLDER, "mkdir", folder, path, 0, NULL) ? -1 : real(folder, path, bits);
}
