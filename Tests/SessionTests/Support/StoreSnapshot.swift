import Foundation
import Testing

/// A copy of a store at one moment, though files in it come and go: copied again until nothing changed meanwhile, which is a state that a
/// kill could have left.
enum StoreSnapshot {
  static func take(of store: URL, as copy: URL) throws {
    for _ in 0..<200 {
      let before = state(of: store)
      try? FileManager.default.removeItem(at: copy)
      do {
        try copyFiles(of: store, to: copy)
      } catch {
        continue
      }
      if state(of: store) == before { return }
    }
    Issue.record("the store never held still")
  }

  /// By reading each file to its end: `copyItem` waits for ever for bytes of a file that becomes shorter meanwhile.
  private static func copyFiles(of store: URL, to copy: URL) throws {
    try FileManager.default.createDirectory(at: copy, withIntermediateDirectories: true)
    for name in FileManager.default.enumerator(atPath: store.path)?.compactMap({ $0 as? String }) ?? [] {
      let (source, target) = (store.appending(path: name), copy.appending(path: name))
      if try source.resourceValues(forKeys: [.isDirectoryKey]).isDirectory == true {
        try FileManager.default.createDirectory(at: target, withIntermediateDirectories: true)
      } else {
        try Data(contentsOf: source).write(to: target)
      }
    }
  }

  /// Every file's path, node, size and time of change.
  private static func state(of store: URL) -> [String] {
    let names = FileManager.default.enumerator(atPath: store.path)?.compactMap { $0 as? String } ?? []
    return names.sorted().map { name in
      let attributes = try? FileManager.default.attributesOfItem(atPath: store.appending(path: name).path)
      let node = attributes?[.systemFileNumber] as? Int
      let size = attributes?[.size] as? Int
      let date = (attributes?[.modificationDate] as? Date)?.timeIntervalSince1970
      return "\(name) \(node ?? 0) \(size ?? 0) \(date ?? 0)"
    }
  }
}
