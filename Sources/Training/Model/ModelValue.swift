package import Architecture

/// A matrix of activations that flows between layers: batch rows × `width`, in a space.
///
/// Several values may live in one space: the residual stream is one space read and written many times.
package struct ModelValue: Sendable, Equatable {
  package let space: SpaceID
  package let width: Int

  package init(space: SpaceID, width: Int) {
    self.space = space
    self.width = width
  }
}
