/* A directory as a mount over the network has it: every operation takes so many microseconds, and several go side by side.
 *
 *     slow_mount DIRECTORY MICROSECONDS [OPTION...] MOUNTPOINT        ended by fusermount3 -u MOUNTPOINT
 *
 * Built by benchmarks/slow_mount.py, with libfuse 3. The kernel in front of it is the real one: it asks for names, keeps
 * attributes for a second, and makes and renames one file of a directory at a time.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char *root;
static long pause_us;

struct place { char path[4096]; };

static struct place at(const char *path)
{
    struct place place;
    snprintf(place.path, sizeof place.path, "%s%s", root, path);
    usleep(pause_us);
    return place;
}

static int told(int result) { return result == -1 ? -errno : 0; }

static int opened(int file, struct fuse_file_info *info)
{
    if (file == -1)
        return -errno;
    info->fh = file;
    return 0;
}

static int op_getattr(const char *path, struct stat *found, struct fuse_file_info *info)
{
    struct place place = at(path);
    return told(info ? fstat(info->fh, found) : lstat(place.path, found));
}

static int op_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *info,
                      enum fuse_readdir_flags flags)
{
    DIR *directory = opendir(at(path).path);
    if (directory == NULL)
        return -errno;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat kind = {.st_ino = entry->d_ino, .st_mode = (mode_t)entry->d_type << 12};
        fill(buffer, entry->d_name, &kind, 0, 0);
    }
    closedir(directory);
    return 0;
}

static int op_open(const char *path, struct fuse_file_info *info)
{
    return opened(open(at(path).path, info->flags), info);
}

static int op_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    return opened(open(at(path).path, info->flags, mode), info);
}

static int op_read(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
    at(path);
    ssize_t result = pread(info->fh, buffer, size, offset);
    return result == -1 ? -errno : (int)result;
}

static int op_write(const char *path, const char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
    at(path);
    ssize_t result = pwrite(info->fh, buffer, size, offset);
    return result == -1 ? -errno : (int)result;
}

static int op_flush(const char *path, struct fuse_file_info *info)
{
    at(path);
    return 0;
}

static int op_release(const char *path, struct fuse_file_info *info)
{
    at(path);
    return told(close(info->fh));
}

static int op_flock(const char *path, struct fuse_file_info *info, int operation)
{
    at(path);
    return told(flock(info->fh, operation));
}

static int op_rename(const char *from, const char *to, unsigned flags)
{
    struct place target;
    snprintf(target.path, sizeof target.path, "%s%s", root, to);
    return told(renameat2(AT_FDCWD, at(from).path, AT_FDCWD, target.path, flags));
}

static int op_chmod(const char *path, mode_t mode, struct fuse_file_info *info)
{
    struct place place = at(path);
    return told(info ? fchmod(info->fh, mode) : chmod(place.path, mode));
}

static int op_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *info)
{
    struct place place = at(path);
    return told(info ? futimens(info->fh, times) : utimensat(AT_FDCWD, place.path, times, AT_SYMLINK_NOFOLLOW));
}

static int op_truncate(const char *path, off_t size, struct fuse_file_info *info)
{
    struct place place = at(path);
    return told(info ? ftruncate(info->fh, size) : truncate(place.path, size));
}

static int op_readlink(const char *path, char *buffer, size_t size)
{
    ssize_t result = readlink(at(path).path, buffer, size - 1);
    if (result == -1)
        return -errno;
    buffer[result] = '\0';
    return 0;
}

static int op_symlink(const char *target, const char *path) { return told(symlink(target, at(path).path)); }
static int op_mkdir(const char *path, mode_t mode) { return told(mkdir(at(path).path, mode)); }
static int op_unlink(const char *path) { return told(unlink(at(path).path)); }
static int op_rmdir(const char *path) { return told(rmdir(at(path).path)); }
static int op_access(const char *path, int mode) { return told(access(at(path).path, mode)); }
static int op_statfs(const char *path, struct statvfs *found) { return told(statvfs(at(path).path, found)); }

static const struct fuse_operations operations = {
    .getattr = op_getattr,   .readdir = op_readdir, .open = op_open,         .create = op_create,
    .read = op_read,         .write = op_write,     .flush = op_flush,       .release = op_release,
    .flock = op_flock,       .rename = op_rename,   .chmod = op_chmod,       .utimens = op_utimens,
    .truncate = op_truncate, .readlink = op_readlink, .symlink = op_symlink, .mkdir = op_mkdir,
    .unlink = op_unlink,     .rmdir = op_rmdir,     .access = op_access,     .statfs = op_statfs,
};

int main(int count, char **words)
{
    if (count < 4) {
        fprintf(stderr, "usage: slow_mount DIRECTORY MICROSECONDS [OPTION...] MOUNTPOINT\n");
        return 2;
    }
    root = words[1];
    pause_us = atol(words[2]);
    umask(0);
    words[2] = words[0];
    return fuse_main(count - 2, words + 2, &operations, NULL);
}
