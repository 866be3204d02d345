#define _GNU_SOURCE
#include "faults.h"

#include <execinfo.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Everything the handler calls may be called in a signal handler: write, _exit, string functions, and backtrace, which is called once before.

enum { exitDamaged = 3, exitDefect = 70, frameLimit = 64, nameLimit = 1024, stackBytes = 32 << 10 };

static const int handled[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT};
enum { handledCount = sizeof handled / sizeof handled[0] };

static const char *programName = "";
static char fileName[nameLimit], objectName[nameLimit];
static atomic_flag isReporting = ATOMIC_FLAG_INIT;

static _Thread_local unsigned depth, writes;
// Of the main thread and of those that read files, so that what recurses without end is reported too.
static _Thread_local int hasStack;
static _Thread_local char ownStack[stackBytes] __attribute__((aligned(16)));

static void copy_printable(char *to, const uint8_t *from, size_t length) {
  // A name that does not fit keeps its end, which tells more.
  if (length >= nameLimit) {
    from += length - (nameLimit - 1);
    length = nameLimit - 1;
  }
  for (size_t i = 0; i < length; i++) to[i] = from[i] >= 0x20 && from[i] < 0x7F ? (char)from[i] : '?';
  to[length] = 0;
}

static void say(const char *text) {
  size_t length = strlen(text);
  while (length > 0) {
    ssize_t written = write(STDERR_FILENO, text, length);
    if (written <= 0) return;
    text += written;
    length -= (size_t)written;
  }
}

static void say_number(int number) {
  char digits[12];
  size_t at = sizeof digits - 1;
  digits[at] = 0;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0 && at > 0);
  say(digits + at);
}

static void report(int number, siginfo_t *info, void *context) {
  (void)context;
  // Another process asked for it: it does what it does to any program.
  if (info->si_code <= 0 && info->si_pid != getpid()) {
    signal(number, SIG_DFL);
    raise(number);
    return;
  }
  // A trap is a check of our own code, inside of the library's lock too; and what we write is nobody's damaged file.
  int isDamage = depth > 0 && writes == 0 && number != SIGILL && number != SIGTRAP;
  // A second thread that faults, or a fault in here.
  if (atomic_flag_test_and_set(&isReporting)) _exit(isDamage ? exitDamaged : exitDefect);
  say(programName);
  if (isDamage) {
    say(": ");
    say(fileName);
    if (objectName[0]) {
      say(": '");
      say(objectName);
      say("'");
    }
    say(": the file is damaged: libhdf5 broke down on it; fetch it again, or write it anew\n");
    _exit(exitDamaged);
  }
  say(": broken off by signal ");
  say_number(number);
  say(", a defect of ours; please report it with these addresses, which tell nothing of data:\n");
  void *frames[frameLimit];
  backtrace_symbols_fd(frames, backtrace(frames, frameLimit), STDERR_FILENO);
  _exit(exitDefect);
}

static void make_stack(void) {
  if (hasStack) return;
  stack_t stack = {.ss_sp = ownStack, .ss_size = sizeof ownStack};
  // Without it all but an overflow of the stack is reported still.
  (void)sigaltstack(&stack, NULL);
  hasStack = 1;
}

int faults_install(const char *program) {
  programName = program;
  make_stack();
  // The first call loads what later ones need.
  void *frame[1];
  (void)backtrace(frame, 1);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = report;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < handledCount; i++) {
    if (sigaction(handled[i], &action, NULL) != 0) return -1;
  }
  return 0;
}

void faults_enter(void) {
  make_stack();
  depth++;
}

void faults_leave(void) { depth--; }

void faults_begin_writing(void) { writes++; }

void faults_end_writing(void) { writes--; }

void faults_name(const uint8_t *file, size_t file_length, const uint8_t *object, size_t object_length) {
  copy_printable(fileName, file, file_length);
  copy_printable(objectName, object, object_length);
}
