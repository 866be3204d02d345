import Foundation

/// Small files that are read or copied whole.
enum RegularFile {
  /// Whether there is a regular file, links followed.
  static func exists(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// The bytes of a file; nil when there are more than `limit`.
  static func read(_ path: String, limit: Int) throws(CheckpointError) -> [UInt8]? {
    let file = try OpenFile.openRegular(path)
    let length = try file.length()
    guard length <= limit else { return nil }
    var bytes = [UInt8](repeating: 0, count: length)
    let got = try file.read(into: &bytes, at: 0)
    return Array(bytes[..<got])
  }

  /// Copies a file of any size, a piece at a time; the copy appears whole or not at all.
  static func copy(_ path: String, to destination: String) throws(CheckpointError) {
    let file = try OpenFile.openRegular(path)
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    try AtomicFile.write(to: destination) { (writer) throws(CheckpointError) in
      while true {
        let got = try file.read(into: &piece, at: writer.offset)
        if got == 0 { return }
        try writer.write(Data(piece[..<got]))
      }
    }
  }
}
