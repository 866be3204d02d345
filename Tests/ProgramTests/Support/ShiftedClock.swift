import Foundation

/// A wall clock that a test sets for the programs it starts: a library that is loaded before all others adds to what the system says. Clocks that
/// only count on, such as the one that durations are measured by, it leaves alone.
struct ShiftedClock {
  private static let source = """
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <fcntl.h>
    #include <stdlib.h>
    #include <sys/time.h>
    #include <time.h>
    #include <unistd.h>

    static long shift(void) {
      char text[32] = {0};
      const char *path = getenv("CLOCK_SHIFT");
      int file = path ? open(path, O_RDONLY) : -1;
      if (file < 0) return 0;
      long count = read(file, text, sizeof text - 1);
      close(file);
      return count > 0 ? strtol(text, 0, 10) : 0;
    }

    int clock_gettime(clockid_t clock, struct timespec *time) {
      static int (*real)(clockid_t, struct timespec *);
      if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
      int code = real(clock, time);
      if (!code && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += shift();
      return code;
    }

    int gettimeofday(struct timeval *restrict time, void *restrict zone) {
      struct timespec now;
      (void)zone;
      clock_gettime(CLOCK_REALTIME, &now);
      time->tv_sec = now.tv_sec;
      time->tv_usec = now.tv_nsec / 1000;
      return 0;
    }

    time_t time(time_t *result) {
      struct timespec now;
      clock_gettime(CLOCK_REALTIME, &now);
      if (result) *result = now.tv_sec;
      return now.tv_sec;
    }
    """

  /// What programs are started with.
  let environment: [String: String]
  private let shiftFile: String

  /// - Returns: nil where there is no compiler for the library.
  init?(in site: Site) {
    let (code, library) = (site["clock.c"], site["clock.so"])
    shiftFile = site["clock.shift"]
    environment = ["LD_PRELOAD": library, "CLOCK_SHIFT": shiftFile]
    do {
      try site.write(Self.source, to: "clock.c")
      let compiler = Process()
      compiler.executableURL = URL(filePath: "/usr/bin/env")
      compiler.arguments = ["clang", "-shared", "-fPIC", "-o", library, code, "-ldl"]
      try compiler.run()
      compiler.waitUntilExit()
      guard compiler.terminationStatus == 0 else { return nil }
    } catch {
      return nil
    }
  }

  /// Sets the clock of all programs so many seconds ahead of the system's, or behind it.
  func set(ahead seconds: Int) throws {
    try Data("\(seconds)".utf8).write(to: URL(filePath: shiftFile), options: .atomic)
  }
}
