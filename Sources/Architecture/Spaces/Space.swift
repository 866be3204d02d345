/// A vector space that activations live in; one secret key acts on it.
package struct Space: Sendable, Equatable {
  package let id: SpaceID
  /// Coordinates a vector has, at least 1.
  package let width: Int
  /// Set on an input space in homogeneous coordinates [x; 1; 0_k].
  package let homogeneous: HomogeneousColumns?
  package let form: SpaceForm

  package init(id: SpaceID, width: Int, homogeneous: HomogeneousColumns? = nil, form: SpaceForm = .whole) {
    self.id = id
    self.width = width
    self.homogeneous = homogeneous
    self.form = form
  }
}
