package import Models
package import Numerics

/// Parameters and optimizer state, one tensor at a time: rotated in Double whatever the job's format, moved and given signs in
/// the format itself, which is exact.
extension JobKeys {
  /// A' = K_rows A K_columns⁻¹ for a matrix, b' = K_rows b for a vector; a homogeneous matrix is [W | b | 0_k] whole.
  ///
  /// Momentum buffers and gradients transform in the same way.
  ///
  /// - Throws: `MaskingError.shape` naming the parameter; `MaskingError.unknownSpace`.
  package func maskParameter(
    _ parameter: Tensor<Element>, _ specification: ParameterSpecification
  ) throws(MaskingError) -> Tensor<Element> {
    try transform(parameter, specification, .mask)
  }

  /// A = K_rows⁻¹ A' K_columns. The padding columns of a homogeneous matrix come back as zeros up to rounding.
  ///
  /// - Throws: as `maskParameter`.
  package func unmaskParameter(
    _ masked: Tensor<Element>, _ specification: ParameterSpecification
  ) throws(MaskingError) -> Tensor<Element> {
    try transform(masked, specification, .unmask)
  }

  /// `maskParameter` for each, in the order of the model's parameters.
  package func maskParameters(
    _ parameters: [Tensor<Element>], _ specifications: [ParameterSpecification]
  ) throws(MaskingError) -> [Tensor<Element>] {
    try transform(parameters, specifications, .mask)
  }

  package func unmaskParameters(
    _ masked: [Tensor<Element>], _ specifications: [ParameterSpecification]
  ) throws(MaskingError) -> [Tensor<Element>] {
    try transform(masked, specifications, .unmask)
  }

  /// Second moments of gradients, v' = |K_rows| v |K_columns|ᵀ: squares forget signs, and only a permutation keeps them apart.
  ///
  /// - Throws: `MaskingError.needsSmallerGroup` under a rotation; else as `maskParameter`.
  package func maskSecondMoment(
    _ moment: Tensor<Element>, _ specification: ParameterSpecification
  ) throws(MaskingError) -> Tensor<Element> {
    try transform(moment, specification, .mask, magnitudes)
  }

  /// - Throws: as `maskSecondMoment`.
  package func unmaskSecondMoment(
    _ masked: Tensor<Element>, _ specification: ParameterSpecification
  ) throws(MaskingError) -> Tensor<Element> {
    try transform(masked, specification, .unmask, magnitudes)
  }

  private func magnitudes(_ space: SpaceID) throws(MaskingError) -> any SpaceKey<Element> {
    let key = try key(space)
    guard let magnitudes = key.magnitudes else {
      throw .needsSmallerGroup(
        what: "a second moment", space: space, largest: .signedPermutation, found: key.group)
    }
    return magnitudes
  }

  private func transform(
    _ parameters: [Tensor<Element>], _ specifications: [ParameterSpecification], _ direction: KeyDirection
  ) throws(MaskingError) -> [Tensor<Element>] {
    try check([parameters.count], is: [specifications.count], "the list of parameters")
    var results: [Tensor<Element>] = []
    results.reserveCapacity(parameters.count)
    for (parameter, specification) in zip(parameters, specifications) {
      results.append(try transform(parameter, specification, direction))
    }
    return results
  }

  private func transform(
    _ tensor: Tensor<Element>, _ specification: ParameterSpecification, _ direction: KeyDirection
  ) throws(MaskingError) -> Tensor<Element> {
    try transform(tensor, specification, direction, key)
  }

  private func transform(
    _ tensor: Tensor<Element>, _ specification: ParameterSpecification, _ direction: KeyDirection,
    _ key: (SpaceID) throws(MaskingError) -> any SpaceKey<Element>
  ) throws(MaskingError) -> Tensor<Element> {
    let rowKey = try key(specification.rows)
    guard let columns = specification.columns else {
      try check(tensor.shape, is: [rowKey.width], specification.name)
      return transform(columns: tensor, rowKey, direction)
    }
    let columnKey = try key(columns)
    try check(tensor.shape, is: [rowKey.width, columnKey.width], specification.name)
    if rowKey.movesNumbers {
      let moved = rowKey.transform(columns: tensor, direction, compute: compute)
      return transform(rows: moved, columnKey, direction)
    }
    if columnKey.movesNumbers {
      let moved = columnKey.transform(rows: tensor, direction, compute: compute)
      return transform(columns: moved, rowKey, direction)
    }
    let mixed = rowKey.transform(columns: tensor.converted(to: Double.self), direction, compute: compute)
    return columnKey.transform(rows: mixed, direction, compute: compute).converted(to: Element.self)
  }

  private func transform(
    columns tensor: Tensor<Element>, _ key: any SpaceKey<Element>, _ direction: KeyDirection
  ) -> Tensor<Element> {
    if key.movesNumbers { return key.transform(columns: tensor, direction, compute: compute) }
    return key.transform(columns: tensor.converted(to: Double.self), direction, compute: compute)
      .converted(to: Element.self)
  }

  /// By blocks of rows, so that of a large matrix (a vocabulary's) only a block is in memory in Double.
  private func transform(
    rows tensor: Tensor<Element>, _ key: any SpaceKey<Element>, _ direction: KeyDirection
  ) -> Tensor<Element> {
    if key.movesNumbers { return key.transform(rows: tensor, direction, compute: compute) }
    let width = tensor.columns
    let rowsInBlock = max(1, Self.elementsInBlock / max(1, width))
    var result = Tensor<Element>(uninitialized: tensor.shape)
    for start in stride(from: 0, to: tensor.rows, by: rowsInBlock) {
      let block = tensor.slice(rows: start..<min(tensor.rows, start + rowsInBlock)).converted(to: Double.self)
      let turned = key.transform(rows: block, direction, compute: compute).converted(to: Element.self)
      result.withUnsafeMutableBufferPointer { target in
        turned.withUnsafeBufferPointer { source in
          _ = UnsafeMutableBufferPointer(rebasing: target[start * width..<start * width + source.count])
            .update(fromContentsOf: source)
        }
      }
    }
    return result
  }

  /// Numbers that are widened at a time: 32 MiB in Double.
  private static var elementsInBlock: Int { 1 << 22 }
}
