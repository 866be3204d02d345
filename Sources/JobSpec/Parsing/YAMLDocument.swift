import Foundations
import Yams

/// YAML text as a node tree, bounded in size, depth and expansion, whatever the bytes are.
///
/// Depth is bounded by libyaml itself (1,000 levels), which takes up to 1.5 MiB of stack in a debug build; Linux gives
/// threads 2 MiB at the least. Aliases are refused; since Yams expands them while it reads, and
/// compares mapping keys by content, text with more than a few alias-like words is refused before it is read at all:
/// k aliases can at most multiply the size by 2^k.
struct YAMLDocument {
  static let maximumBytes = 1 << 20
  static let maximumAliasLikeWords = 8

  /// Nil when the text holds no node: only comments or nothing.
  let root: Node?

  init(bytes: [UInt8], source: SourceLocation) throws(JobSpecError) {
    guard bytes.count <= Self.maximumBytes else {
      throw JobSpecError(.tooLarge(limit: Self.maximumBytes), at: source)
    }
    let unmarked = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes[...]
    guard let text = String(validating: unmarked, as: UTF8.self) else { throw JobSpecError(.notUTF8, at: source) }
    try Self.refuseControlCharacters(text, source)
    guard Self.aliasLikeWords(bytes) <= Self.maximumAliasLikeWords else {
      throw JobSpecError(.anchorOrAlias, at: source)
    }
    do {
      // The encoding is given because the default is looked up in the environment; the basic resolver because numbers
      // are read by this module's own rules.
      let parser = try Parser(yaml: text, resolver: .basic, encoding: .utf8)
      root = try parser.singleRoot()
      // Nodes hold their anchors weakly and the parser strongly.
      try withExtendedLifetime(parser) { if let root { try Self.refuseAnchors(root, source) } }
    } catch let error as JobSpecError {
      throw error
    } catch let error as YamlError {
      throw Self.translated(error, source)
    } catch {
      throw JobSpecError(.syntax("the YAML reader failed"), at: source)
    }
  }

  /// The characters libyaml refuses, found here so that the error has a line and a column.
  private static func refuseControlCharacters(_ text: String, _ source: SourceLocation) throws(JobSpecError) {
    var line = 1
    var column = 1
    for scalar in text.unicodeScalars {
      let allowed =
        switch scalar.value {
        case 0xFEFF: false
        case 0x09, 0x0A, 0x0D, 0x20...0x7E, 0x85, 0xA0...0xD7FF, 0xE000...0xFFFD, 0x10000...0x10FFFF: true
        default: false
        }
      guard allowed else {
        let code = "U+" + String(scalar.value, radix: 16, uppercase: true)
        throw JobSpecError(
          .controlCharacter(code), at: SourceLocation(source: source.source, line: line, column: column))
      }
      if scalar == "\n" {
        line += 1
        column = 1
      } else {
        column += 1
      }
    }
  }

  /// How often `*` stands before a character an alias name may start with. Comments and quoted text count too: telling
  /// them apart needs the parser that this guards.
  private static func aliasLikeWords(_ bytes: [UInt8]) -> Int {
    zip(bytes, bytes.dropFirst()).count { star, next in
      guard star == UInt8(ascii: "*") else { return false }
      switch next {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
        return true
      default: return false
      }
    }
  }

  /// An aliased node carries the anchor of its original, so that looking for anchors finds both.
  private static func refuseAnchors(_ root: Node, _ source: SourceLocation) throws(JobSpecError) {
    var pending = [root]
    while let node = pending.popLast() {
      guard node.anchor == nil else { throw JobSpecError(.anchorOrAlias, at: source.moved(to: node.mark)) }
      switch node {
      case .mapping(let mapping):
        for (key, value) in mapping {
          pending.append(key)
          pending.append(value)
        }
      case .sequence(let sequence): pending.append(contentsOf: sequence)
      case .scalar: break
      case .alias: throw JobSpecError(.anchorOrAlias, at: source.moved(to: node.mark))
      }
    }
  }

  private static func translated(_ error: YamlError, _ source: SourceLocation) -> JobSpecError {
    switch error {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      let isDepth = problem.contains("nesting level")
      let text = isDepth ? "nested too deeply" : [context?.text, problem].compactMap(\.self).joined(separator: ", ")
      return JobSpecError(.syntax(text), at: source.moved(to: mark))
    case .duplicatedKeysInMapping(let duplicates, let context):
      return JobSpecError(
        .duplicateKey(duplicates.sorted().map { $0.printable(limit: 61) }), at: source.moved(to: context.mark))
    case .reader(let problem, _, _, _): return JobSpecError(.syntax(problem), at: source)
    default: return JobSpecError(.syntax("the YAML reader failed"), at: source)
    }
  }
}

extension SourceLocation {
  /// The same source at a node's position.
  func moved(to mark: Mark?) -> SourceLocation {
    SourceLocation(source: source, line: mark?.line, column: mark?.column, isOverride: isOverride)
  }
}
