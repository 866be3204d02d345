/// A link that is never followed, or an object that is too damaged to be described.
package struct RefusedObject: Codable, Sendable, Equatable {
  package let path: String
  /// Where a link leads and why that is refused; what is wrong with an object.
  package let problem: String
}
