import Models
import Masking

extension TransformerFixture {
  /// Two post-norm encoder blocks, pooler and classifier: 3 heads, gains and shifts in place.
  static let bert: TransformerFixture = {
    let heads = width / headWidth
    let residual = Space(id: SpaceID("residual"), width: width)
    var spaces = [residual]
    var layers: [Rules] = []
    func norm(_ name: String) -> Rules {
      var rules = constraint(residual, .permutation, "gain of \(name)")
      rules.parameters = ["weight", "bias"].map {
        ParameterSpecification(name: "\(name).\($0)", shape: [width], rows: residual.id, columns: nil)
      }
      return rules
    }
    for block in 0..<2 {
      func space(_ part: String, _ rotation: String) -> Space {
        Space(
          id: SpaceID("layers.\(block).\(part)"), width: width,
          form: .heads(
            HeadsForm(
              attention: "layers.\(block).attention", rotation: rotation, heads: heads, groups: heads,
              headWidth: headWidth, isRotary: false)))
      }
      let name = "bert.encoder.layer.\(block)"
      let (query, key) = (space("query", "qk"), space("key", "qk"))
      let (value, context) = (space("value", "vo"), space("context", "vo"))
      let inner = Space(id: SpaceID("layers.\(block).hidden"), width: hidden)
      spaces += [query, key, value, context, inner]
      layers += [
        linear("\(name).attention.self.query", residual, query, bias: true),
        linear("\(name).attention.self.key", residual, key, bias: true),
        linear("\(name).attention.self.value", residual, value, bias: true),
        linear("\(name).attention.output.dense", context, residual, bias: true),
        norm("\(name).attention.output.LayerNorm"),
        linear("\(name).intermediate.dense", residual, inner, bias: true),
        constraint(inner, .permutation, "gelu after \(name).intermediate.dense"),
        linear("\(name).output.dense", inner, residual, bias: true),
        norm("\(name).output.LayerNorm"),
      ]
    }
    let pooled = Space(id: SpaceID("pooled"), width: width)
    let output = Space(id: SpaceID("output"), width: outputs)
    layers += [
      linear("bert.pooler.dense", residual, pooled, bias: true),
      constraint(pooled, .signedPermutation, "tanh after bert.pooler.dense"),
      linear("classifier", pooled, output, bias: true),
    ]
    return TransformerFixture("BERT", spaces + [pooled, output], layers) { tape, parameters, tokens, pooledRow in
      func dense(_ name: String, _ x: Node) -> Node {
        tape.linear(x, parameters.node("\(name).weight"), parameters.node("\(name).bias"))
      }
      func norm(_ name: String, _ x: Node) -> Node {
        let gained = tape.gained(tape.normalized(x, isCentred: true), parameters.node("\(name).weight"))
        return tape.shifted(gained, parameters.node("\(name).bias"))
      }
      var x = tokens
      for block in 0..<2 {
        let name = "bert.encoder.layer.\(block)"
        let context = attention(
          tape, dense("\(name).attention.self.query", x), dense("\(name).attention.self.key", x),
          dense("\(name).attention.self.value", x), heads: heads, groups: heads, frequencies: nil)
        x = norm(
          "\(name).attention.output.LayerNorm", tape.sum(x, dense("\(name).attention.output.dense", context)))
        let inner = apply(.gelu, tape, dense("\(name).intermediate.dense", x))
        x = norm("\(name).output.LayerNorm", tape.sum(x, dense("\(name).output.dense", inner)))
      }
      let pooled = apply(.tanh, tape, dense("bert.pooler.dense", tape.row(x, pooledRow)))
      return dense("classifier", pooled)
    }
  }()
}
