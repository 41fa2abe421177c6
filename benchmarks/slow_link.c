// A line with a delay, between two network namespaces: slow_link MILLISECONDS NAMESPACE
//
// Makes a TUN device `slow0` here and one in NAMESPACE (a path like /proc/PID/ns/net), and carries packets from one to
// the other, each MILLISECONDS after it came. Says "ready" when both are there.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define QUEUE 32768

struct packet {
  long long due;
  int size;
  char data[2000];
};

struct way {
  int from, to;
  unsigned head, tail;
  struct packet *queue;
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static long long now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static int tun(void) {
  struct ifreq wish = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  int file = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) fail("/dev/net/tun");
  strcpy(wish.ifr_name, "slow0");
  if (ioctl(file, TUNSETIFF, &wish) < 0) fail("TUNSETIFF");
  return file;
}

static void take(struct way *way, long long delay) {
  while (way->head - way->tail < QUEUE) {
    struct packet *packet = &way->queue[way->head % QUEUE];
    packet->size = read(way->from, packet->data, sizeof packet->data);
    if (packet->size <= 0) return;
    packet->due = now() + delay;
    way->head++;
  }
}

static void give(struct way *way) {
  while (way->tail != way->head) {
    struct packet *packet = &way->queue[way->tail % QUEUE];
    if (packet->due > now()) return;
    if (write(way->to, packet->data, packet->size) < 0 && errno == EAGAIN) return;
    way->tail++;
  }
}

int main(int count, char **words) {
  if (count != 3) return 2;
  long long delay = atoll(words[1]) * 1000000;
  int here = tun(), there = open(words[2], O_RDONLY);
  if (there < 0 || setns(there, CLONE_NEWNET) < 0) fail(words[2]);
  int far = tun();
  struct way ways[2] = {{here, far, 0, 0, NULL}, {far, here, 0, 0, NULL}};
  for (int i = 0; i < 2; i++)
    if (!(ways[i].queue = calloc(QUEUE, sizeof *ways[i].queue))) fail("memory");
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct pollfd files[2] = {{here, POLLIN, 0}, {far, POLLIN, 0}};
    struct timespec wait = {1, 0};
    for (int i = 0; i < 2; i++) {
      if (ways[i].tail == ways[i].head) continue;
      long long left = ways[i].queue[ways[i].tail % QUEUE].due - now();
      if (left < 0) left = 0;
      if (left < wait.tv_sec * 1000000000LL + wait.tv_nsec) wait = (struct timespec){0, left};
    }
    ppoll(files, 2, &wait, NULL);
    for (int i = 0; i < 2; i++) take(&ways[i], delay), give(&ways[i]);
  }
}
