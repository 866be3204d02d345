import Foundation

/// Beginnings of safetensors files: 8 bytes of length, then JSON, then the data.
enum SafetensorsSeeds {
  static let inputs: [Data] = [
    file(#"{"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#, data: 8),
    file(
      #"{"__metadata__":{"k\u00e9\ud83d\ude00":"v\n"},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},"#
        + #""c":{"shape":[],"dtype":"F64","data_offsets":[0,8]}}  "#, data: 11),
    file(#"{"e":{"dtype":"BF16","shape":[0,5],"data_offsets":[0,0]}}"#, data: 0), file("{}", data: 0),
  ]

  private static func file(_ json: String, data: Int) -> Data {
    var bytes = withUnsafeBytes(of: UInt64(json.utf8.count).littleEndian) { Data($0) }
    bytes.append(contentsOf: Array(json.utf8))
    return bytes + Data(count: data)
  }
}
