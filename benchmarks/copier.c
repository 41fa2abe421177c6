// The least that recording can cost: reads COUNT sockets and writes as many files, and looks at nothing.
//
//   copier PORT PATH COUNT FOLDER LOWAT
//
// Asks 127.0.0.1:PORT for PATH so many times. LOWAT is how many bytes have to be there before the kernel says so
// (SO_RCVLOWAT); 1 is what every program has that does not ask for more.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER 65536
#define APART 20000  // microseconds between two connections: Icecast lets few wait at its door

struct stream {
  int socket, file, matched;  // matched: bytes of the end of the head that were seen, 4 for all
};

static char buffer[BUFFER];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int begin(int port, const char *path, int lowat) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection < 0 || connect(connection, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
  int size = snprintf(buffer, BUFFER, "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", path);
  if (write(connection, buffer, size) != size) fail("request");
  if (setsockopt(connection, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof lowat) < 0) fail("SO_RCVLOWAT");
  if (fcntl(connection, F_SETFL, O_NONBLOCK) < 0) fail("O_NONBLOCK");
  return connection;
}

static int behind_head(struct stream *stream, int size) {
  int at = 0;
  for (; at < size && stream->matched < 4; at++)
    stream->matched = buffer[at] == "\r\n\r\n"[stream->matched] ? stream->matched + 1 : buffer[at] == '\r';
  return at;
}

static void copy(struct stream *stream) {
  int size = read(stream->socket, buffer, BUFFER);
  if (size < 0 && errno == EAGAIN) return;
  if (size <= 0) fail("a stream ended");
  int at = behind_head(stream, size);
  while (at < size) {
    int written = write(stream->file, buffer + at, size - at);
    if (written < 0) fail("write");
    at += written;
  }
}

int main(int count, char **words) {
  if (count != 6) return 2;
  int streams = atoi(words[3]), poll = epoll_create1(EPOLL_CLOEXEC);
  struct stream *all = calloc(streams, sizeof *all);
  if (poll < 0 || !all) fail("memory");
  for (int i = 0; i < streams; i++) {
    char name[4096];
    snprintf(name, sizeof name, "%s/%d.mp3", words[4], i);
    all[i].socket = begin(atoi(words[1]), words[2], atoi(words[5]));
    all[i].file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (all[i].file < 0) fail(name);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, all[i].socket, &event) < 0) fail("epoll_ctl");
    usleep(APART);
  }
  for (;;) {
    struct epoll_event events[256];
    int found = epoll_wait(poll, events, 256, -1);
    for (int i = 0; i < found; i++) copy(events[i].data.ptr);
  }
}
