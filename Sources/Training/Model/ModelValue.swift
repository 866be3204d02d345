package import Architecture

/// A matrix of activations that flows between layers: rows × `width`, in a space; a row is a sample or a token.
///
/// Several values may live in one space: the residual stream is one space read and written many times.
package struct ModelValue: Sendable, Equatable {
  package let space: SpaceID
  package let width: Int
  package let domain: RowDomain

  package init(space: SpaceID, width: Int, domain: RowDomain = .samples) {
    self.space = space
    self.width = width
    self.domain = domain
  }
}
