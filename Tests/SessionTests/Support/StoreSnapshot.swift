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
        try FileManager.default.copyItem(at: store, to: copy)
      } catch {
        continue
      }
      if state(of: store) == before { return }
    }
    Issue.record("the store never held still")
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
