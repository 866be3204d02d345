import Checkpoints
import Foundation

/// `store.json`: in which form a store's files are, so that a version that knows another form leaves them alone.
struct StoreFormat: Codable {
  static let current = 1

  let format: Int
  /// Who made the store.
  let software: String

  /// Checks the store, and marks one that has no mark.
  ///
  /// - Throws: `StoreError.otherVersion`, `.damaged`; `CheckpointError` when it cannot be read or written.
  static func claim(_ store: URL, software: String) throws {
    guard try check(store) == nil else { return }
    let mark = try JSONEncoder().encode(StoreFormat(format: current, software: software))
    try AtomicFile.write(mark, to: path(store), mode: 0o644)
  }

  /// - Returns: nil for a store without a mark: a new one, or one of a version before there were marks, whose form is the first.
  /// - Throws: as `claim`.
  @discardableResult
  static func check(_ store: URL) throws -> Int? {
    let path = path(store)
    guard let bytes = try SmallFile.read(path) else { return nil }
    guard let object = try? JSONSerialization.jsonObject(with: bytes) as? [String: Any],
      let format = object["format"]
    else { throw StoreError.damaged(path: path) }
    guard let number = format as? Int, number == current else {
      throw StoreError.otherVersion(path: store.path, format: String("\(format)".prefix(20)))
    }
    return number
  }

  private static func path(_ store: URL) -> String {
    store.appending(path: "store.json").path
  }
}
