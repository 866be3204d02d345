package import Exposure

/// What labels there are, which the number of outputs and their gradients' shape tell soon enough.
package enum LabelKind: Sendable {
  /// One of several classes.
  case classes
  /// Several answers of yes or no.
  case binaries
  case numbers

  package init(_ labels: TrueLabels) {
    switch labels {
    case .classes: self = .classes
    case .values(_, let isBinary): self = isBinary ? .binaries : .numbers
    }
  }
}
