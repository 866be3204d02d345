/// What was being done to a file when the system refused.
package enum SystemOperation: String, Sendable {
  case open, read, create, write, sync, rename, truncate, list, remove

  var isReading: Bool {
    switch self {
    case .open, .read, .list: true
    case .create, .write, .sync, .rename, .truncate, .remove: false
    }
  }
}
