package import Foundations

/// Why a graph of layers is refused. Names in it are printable.
package enum GraphError: Failure, Equatable {
  /// A number outside its range.
  case outOfRange(String, value: Int, allowed: ClosedRange<Int>)
  /// A real number that is NaN, infinite, or not above 0 where it has to be.
  case badNumber(String)
  /// A name that is empty, too long, or would not print as it is; given in its printable form.
  case badName(String)
  /// Two spaces, or two parameters, of one name.
  case repeated(String)
  case unknownSpace(String)
  /// A space in which no value lies.
  case unusedSpace(String)
  /// A layer's output that no later layer reads, or the input.
  case unusedValue(of: String)
  /// A space whose form contradicts its width or other spaces.
  case spaceForm(String, problem: String)
  case layer(String, problem: LayerProblem)
  /// Ranges of layers to compute again that are empty, out of order, or beyond the layers.
  case blocks
  case tooManyParameters(limit: Int)
  case rotaryFrequencies(String)
  /// An adapter's target that no linear layer has.
  case unknownTarget(String, known: [String])
  /// Settings of a published architecture that do not fit one another.
  case settings(String)

  package var kind: FailureKind { .usage }

  package var description: String {
    switch self {
    case .outOfRange(let what, let value, let allowed):
      "\(what) must be \(allowed.lowerBound) … \(allowed.upperBound), not \(value)"
    case .badNumber(let what): "\(what) must be a finite number, above 0 where it is an epsilon or a deviation"
    case .badName(let name): "\"\(name)\" is not a valid name of a layer or space"
    case .repeated(let name): "\"\(name)\" appears twice"
    case .unknownSpace(let name): "there is no space \"\(name)\""
    case .unusedSpace(let name): "nothing is in the space \"\(name)\""
    case .unusedValue(let name): "nothing reads \(name)"
    case .spaceForm(let name, let problem): "space \"\(name)\": \(problem)"
    case .layer(let name, let problem): "layer \"\(name)\": \(problem.text)"
    case .blocks: "blocks to compute again must be ranges of layers in order, none empty and none in another"
    case .tooManyParameters(let limit): "parameters must be at most \(limit)"
    case .rotaryFrequencies(let problem): "rotary frequencies \(problem)"
    case .unknownTarget(let target, let known):
      "no linear layer is named \"\(target)\" for an adapter; there are: \(known.joined(separator: ", "))"
    case .settings(let what): what
    }
  }
}

/// What of a layer does not fit the layers before it.
package enum LayerProblem: Sendable, Equatable {
  /// A value that no layer before it writes.
  case valueNotWritten(Int)
  /// One value for two of its inputs: it would have one gradient where two are due.
  case readsTwice(Int)
  /// The derivative of an activation is computed from the output, of which a residual is then a part.
  case residualBehindActivation
  /// A residual of another space or other rows than the output.
  case residualOfAnotherShape
  /// Homogeneous coordinates are read by linear layers alone, and only the input has them.
  case homogeneousInput
  /// A bias must be a column of a weight over homogeneous coordinates, and nothing may be added to such a weight.
  case homogeneousParameters
  case homogeneousOutput
  /// Rows are samples where the layer needs tokens.
  case needsTokens
  /// The input's space has no heads, or they are not rotary.
  case needsRotaryHeads
  /// The four spaces of an attention layer are not of one attention, or their heads are not alike.
  case headsDiffer
  /// The two inputs of a gate are not of one width, order and rows.
  case gateDiffers

  var text: String {
    switch self {
    case .valueNotWritten(let value): "value \(value) is not written before it"
    case .readsTwice(let value): "it reads value \(value) twice"
    case .residualBehindActivation: "a residual is added to a linear result, without an activation"
    case .residualOfAnotherShape: "the residual is of another space or other rows than its output"
    case .homogeneousInput: "only a linear layer reads homogeneous coordinates"
    case .homogeneousParameters: "the weight over homogeneous coordinates has its bias in it, and no low-rank addition"
    case .homogeneousOutput: "only the input is in homogeneous coordinates"
    case .needsTokens: "it needs tokens, and the rows it reads are samples"
    case .needsRotaryHeads: "its input has no heads that are rotary"
    case .headsDiffer: "its queries, keys, values and context are not of one attention"
    case .gateDiffers: "gate and product are not of one width, order and rows"
    }
  }
}
