// Runs a command under a seccomp filter, for hosts whose root lacks CAP_SYS_RESOURCE. Three privileged calls, which fail there and which Talos,
// containerd and runc insist on, look successful:
//   - opening .../oom_score_adj for writing gets /dev/null instead (user notification, ADDFD);
//   - setting resource limits answers 0;
//   - setting capabilities answers 0.
// Usage: shim COMMAND [ARGUMENT...]. Exits as the command did; the command dies with the shim, and the shim with its parent.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIELD(name) offsetof(struct seccomp_data, name)
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define IF_EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, action)
#define PRETEND_SUCCESS (SECCOMP_RET_ERRNO | 0)

static const char oom_file[] = "/oom_score_adj";

static void fail(const char *what) {
  fprintf(stderr, "shim: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void send_descriptor(int socket, int descriptor) {
  char byte = 0, control[CMSG_SPACE(sizeof descriptor)] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof descriptor);
  memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  if (sendmsg(socket, &message, 0) < 0) fail("sendmsg");
}

static int receive_descriptor(int socket) {
  char byte, control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(socket, &message, 0) <= 0 || !CMSG_FIRSTHDR(&message)) exit(1);  // the child has said why
  int descriptor;
  memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof descriptor);
  return descriptor;
}

static int install_filter(void) {
  struct sock_filter filter[] = {
      LOAD(FIELD(nr)),
      // openat: ask us about write-only opens
      IF_EQUAL(__NR_openat, 0, 5),
      LOAD(FIELD(args[2])),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, O_ACCMODE),
      IF_EQUAL(O_WRONLY, 0, 1),
      ANSWER(SECCOMP_RET_USER_NOTIF),
      ANSWER(SECCOMP_RET_ALLOW),
      IF_EQUAL(__NR_setrlimit, 0, 1),
      ANSWER(PRETEND_SUCCESS),
      IF_EQUAL(__NR_capset, 0, 1),
      ANSWER(PRETEND_SUCCESS),
      // prlimit64 with a new limit (third argument, 64 bits, not null); reading limits goes through
      IF_EQUAL(__NR_prlimit64, 0, 5),
      LOAD(FIELD(args[2])),
      IF_EQUAL(0, 0, 2),
      LOAD(FIELD(args[2]) + 4),
      IF_EQUAL(0, 1, 0),
      ANSWER(PRETEND_SUCCESS),
      ANSWER(SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  return syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

// Whether the path argument of the caller's openat ends in /oom_score_adj.
static int names_oom_file(const struct seccomp_notif *request) {
  char path[256] = {0};
  // A path may end just before an unmapped page: read it in two steps, the second may fail.
  size_t lengths[] = {255, 64};
  for (int i = 0; i < 2; i++) {
    struct iovec local = {path, lengths[i]}, remote = {(void *)request->data.args[1], lengths[i]};
    if (process_vm_readv(request->pid, &local, 1, &remote, 1, 0) > 0) {
      size_t length = strlen(path), suffix = sizeof oom_file - 1;
      return length >= suffix && !strcmp(path + length - suffix, oom_file);
    }
  }
  return 0;
}

// Answers one notification. Returns 0 when the listener is closed.
static int answer(int listener, int null) {
  struct seccomp_notif request = {0};
  struct seccomp_notif_resp response = {0};
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) < 0) return errno == EINTR || errno == ENOENT;
  response.id = request.id;
  if (names_oom_file(&request)) {
    struct seccomp_notif_addfd add = {.id = request.id, .srcfd = null, .newfd_flags = O_CLOEXEC};
    int descriptor = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
    if (descriptor < 0) response.error = -errno;
    else response.val = descriptor;
  } else {
    response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  }
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
  return 1;
}

int main(int count, char **arguments) {
  if (count < 2) {
    fprintf(stderr, "usage: shim COMMAND [ARGUMENT...]\n");
    return 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  int ended = signalfd(-1, &signals, SFD_CLOEXEC);
  int pair[2];
  if (ended < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) fail("socketpair");
  pid_t self = getpid(), child = fork();
  if (child < 0) fail("fork");
  if (!child) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != self) return 1;
    sigprocmask(SIG_UNBLOCK, &signals, NULL);
    int listener = install_filter();
    if (listener < 0) fail("seccomp filter with a listener");
    send_descriptor(pair[1], listener);
    close(listener);
    execvp(arguments[1], arguments + 1);
    fail(arguments[1]);
  }
  close(pair[1]);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int listener = receive_descriptor(pair[0]), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (null < 0) fail("/dev/null");
  struct pollfd waits[] = {{listener, POLLIN, 0}, {ended, POLLIN, 0}};
  for (;;) {
    if (poll(waits, 2, -1) < 0 && errno != EINTR) fail("poll");
    if (waits[0].revents & POLLIN) answer(listener, null);
    else if (waits[0].revents) waits[0].fd = -1;
    if (waits[1].revents & POLLIN) {
      int status;
      struct signalfd_siginfo information;
      if (read(ended, &information, sizeof information) < 0) fail("signalfd");
      if (waitpid(child, &status, WNOHANG) == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
  }
}
