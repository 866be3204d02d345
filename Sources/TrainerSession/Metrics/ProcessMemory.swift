import Foundation

/// What this process takes of the machine's memory.
enum ProcessMemory {
  /// Pages in memory now, in bytes; 0 where the kernel does not tell.
  static var residentBytes: Int {
    // Fields of statm(5), in pages: size, resident, …
    let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
    guard fields.count > 1, let pages = Int(fields[1]) else { return 0 }
    let (bytes, overflow) = pages.multipliedReportingOverflow(by: sysconf(Int32(_SC_PAGESIZE)))
    return overflow ? 0 : bytes
  }
}
