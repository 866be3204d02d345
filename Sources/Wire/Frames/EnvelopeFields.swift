import Foundation

extension Envelope {
  /// Appends counts and indices, each at least 0.
  mutating func write(_ indices: Int...) {
    for index in indices { fields.write(UInt64(clamping: index)) }
  }

  /// Appends a JSON document that fills the rest of the header; for the rare messages that structure matters more in than speed.
  mutating func writeJSON(_ value: some Encodable) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    // These types hold numbers, text and arrays of them, which always encode; an empty document is refused by the reader.
    fields.write((try? encoder.encode(value)) ?? Data())
  }
}

extension OpenedEnvelope {
  /// Decodes the JSON document that fills the rest of the header.
  ///
  /// - Throws: `WireError.malformed` that names the field at fault.
  mutating func readJSON<Value: Decodable>(
    _ what: String, of type: Value.Type = Value.self
  ) throws(WireError) -> Value {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      return try decoder.decode(Value.self, from: Data(fields.takeRest()))
    } catch {
      throw .malformed("\(what) cannot be read")
    }
  }
}
