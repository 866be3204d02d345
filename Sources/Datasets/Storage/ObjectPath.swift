/// How jobs name a column: `labels`, `group/labels`, or `obs[bulk_labels]` for a field of a compound dataset.
struct ObjectPath: Sendable, Equatable {
  /// The path of a dataset or group.
  let object: String
  let field: String?

  init(_ text: String) {
    guard text.hasSuffix("]"), let bracket = text.firstIndex(of: "["), bracket > text.startIndex else {
      object = text
      field = nil
      return
    }
    object = String(text[..<bracket])
    field = String(text[text.index(after: bracket)...].dropLast())
  }

  init(object: String, field: String?) {
    self.object = object
    self.field = field
  }

  var text: String {
    guard let field else { return object }
    return "\(object)[\(field)]"
  }

  /// Splits a path of links; empty parts and `.` mean nothing, as in libhdf5.
  static func components(_ path: String) -> [String] {
    path.split(separator: "/").map(String.init).filter { $0 != "." }
  }
}
