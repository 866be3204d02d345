import Glibc

/// How an error number of the operating system is to be taken.
enum SystemCode {
  /// Disk, memory, quota or file descriptors used up.
  static func isExhaustion(_ code: Int32) -> Bool {
    [ENOSPC, EDQUOT, ENOMEM, EMFILE, ENFILE, ENOBUFS].contains(code)
  }

  static func text(_ code: Int32) -> String {
    String(cString: strerror(code))
  }
}
