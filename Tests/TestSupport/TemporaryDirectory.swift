package import Foundation

/// A directory for one test's files, removed with the last reference to it.
package final class TemporaryDirectory: Sendable {
  package let url: URL

  package init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(at: url)
  }

  package var path: String { url.path }

  /// Sorted names of what is in it.
  package var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
  }

  package func url(_ name: String) -> URL { url.appending(path: name) }

  package func file(_ name: String) -> String { path + "/" + name }

  package func contents(_ name: String) -> Data? { FileManager.default.contents(atPath: file(name)) }

  package func permissions(_ name: String) throws -> Int? {
    try FileManager.default.attributesOfItem(atPath: file(name))[.posixPermissions] as? Int
  }

  /// Writes a file with these permissions and returns its path.
  package func write(_ name: String, _ content: String, mode: Int = 0o600) throws -> String {
    try Data(content.utf8).write(to: url(name))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file(name))
    return file(name)
  }
}
