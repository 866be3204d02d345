/// A trained tensor: its name, its shape, and the spaces whose keys act on it.
///
/// A' = K_rows A K_columns⁻¹ for a matrix (shape `[rows, columns]`, PyTorch's out × in); b' = K_rows b for a vector
/// (shape `[rows]`, `columns` nil).
package struct ParameterSpecification: Sendable, Equatable {
  /// PyTorch's name: "layers.0.weight".
  package let name: String
  package let shape: [Int]
  package let rows: SpaceID
  package let columns: SpaceID?
  /// Set when the columns are homogeneous: the tensor is [W | b | 0_k] and `biasName` is where b is kept in plaintext
  /// checkpoints.
  package let homogeneous: HomogeneousColumns?
  package let biasName: String?
  /// False for a weight that training leaves as it is: it has no gradient and no optimizer state.
  package let isTrained: Bool
  package let origin: ParameterOrigin

  package init(
    name: String, shape: [Int], rows: SpaceID, columns: SpaceID?, homogeneous: HomogeneousColumns? = nil,
    biasName: String? = nil, isTrained: Bool = true, origin: ParameterOrigin = .linear
  ) {
    self.name = name
    self.shape = shape
    self.rows = rows
    self.columns = columns
    self.homogeneous = homogeneous
    self.biasName = biasName
    self.isTrained = isTrained
    self.origin = origin
  }
}
