/// Paths of the token matrices inside the file, all N×L.
package struct TokenColumns: Sendable, Equatable, Codable {
  package let ids: String
  /// 1 for a token, 0 for padding; nil where every token counts.
  package let mask: String?
  /// Segments; nil where all are 0.
  package let types: String?

  package init(ids: String, mask: String? = nil, types: String? = nil) {
    self.ids = ids
    self.mask = mask
    self.types = types
  }
}
