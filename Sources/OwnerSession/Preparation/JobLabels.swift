import Architecture
package import Datasets
package import Tensors
package import Training

/// The labels of every row of the file, and how a batch's are looked up by slot.
package struct JobLabels: Sendable {
  package let column: LabelColumn
  /// Names of the classes in order of class id, when they have names.
  package let classNames: [String]?
  /// Widths of the model's output: classes or label columns.
  package let outputs: Int
  package let isMissingSome: Bool

  package init(_ column: LabelColumn) {
    self.column = column
    switch column {
    case .classes(let labels):
      classNames = labels.names
      outputs = labels.classCount
      isMissingSome = false
    case .values(let values):
      classNames = nil
      outputs = values.columns
      isMissingSome = values.withUnsafeBufferPointer { $0.contains(where: \.isNaN) }
    }
  }

  /// The targets of the rows in `slots`.
  package func targets<Element: FloatingElement>(_ slots: ArraySlice<Int32>, rowOfSlot: [Int32]) -> Targets<Element> {
    switch column {
    case .classes(let labels):
      return .classes(Self.ids(slots, of: labels.ids, rowOfSlot: rowOfSlot))
    case .values(let values):
      var result = Tensor<Element>(uninitialized: [slots.count, outputs])
      result.withUnsafeMutableBufferPointer { destination in
        values.withUnsafeBufferPointer { source in
          for (position, slot) in slots.enumerated() {
            let row = Int(rowOfSlot[Int(slot)])
            for column in 0..<outputs {
              destination[position * outputs + column] = Element(source[row * outputs + column])
            }
          }
        }
      }
      return .values(result)
    }
  }

  /// Not generic, so that a batch of ids is a loop over memory.
  private static func ids(_ slots: ArraySlice<Int32>, of ids: [Int32], rowOfSlot: [Int32]) -> [Int32] {
    slots.map { ids[Int(rowOfSlot[Int($0)])] }
  }
}
