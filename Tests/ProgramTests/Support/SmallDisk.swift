import Foundation
import Testing

/// A file system of a megabyte or so, in memory, for as long as this lives; only the superuser can mount one.
final class SmallDisk {
  private let path: String
  private var filling: String { path + "/filling" }

  static let isPossible: Bool = {
    let path = FileManager.default.temporaryDirectory.appending(path: "disk-\(UUID().uuidString)").path
    defer { rmdir(path) }
    guard mkdir(path, 0o700) == 0, mount("tmpfs", path, "tmpfs", 0, "size=4096") == 0 else { return false }
    umount2(path, 0)
    return true
  }()

  init(at path: String, bytes: Int) throws {
    self.path = path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try #require(mount("tmpfs", path, "tmpfs", 0, "size=\(bytes)") == 0)
  }

  deinit {
    umount2(path, Int32(MNT_DETACH))
  }

  /// Takes every byte that is left.
  func fill() throws {
    let descriptor = open(filling, O_WRONLY | O_CREAT, 0o600)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    let block = [UInt8](repeating: 0, count: 4096)
    while write(descriptor, block, block.count) > 0 {}
  }

  func makeReadOnly() throws {
    try #require(mount("tmpfs", path, "tmpfs", UInt(MS_REMOUNT | MS_RDONLY), nil) == 0)
  }

  func empty() {
    unlink(filling)
  }
}
