// A dermedge model file in C++17, by the contract's table, with nothing but ONNX Runtime (1.18 or newer).
//
//     Install: the archive of ONNX Runtime for your system, unpacked to ORT.
//     g++ -std=c++17 cpp_client.cpp -I ORT/include -L ORT/lib -lonnxruntime -Wl,-rpath,ORT/lib -o cpp_client
//     ./cpp_client MODEL.onnx PICTURE.ppm [AGE [SEX SITE]]
//
// AGE in years or nan, SEX and SITE as indexes into their vocabularies or -1: unknown. Reads binary PPM files (P6,
// `magick picture.jpg -auto-orient picture.ppm`); put your own decoder of upright RGB in its place. The model must have
// been exported with --any-size, from a run with the fields of HAM10000: then its graph resizes as in training.

#include <onnxruntime_cxx_api.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

struct Picture {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> rgb;  // rows from the top, pixels from the left, three bytes per pixel
};

Picture read_ppm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string kind;
  int64_t most = 0;
  Picture picture;
  file >> kind >> picture.width >> picture.height >> most;
  if (!file || kind != "P6" || most != 255) throw std::runtime_error(path + " is no binary PPM of 8 bits.");
  file.get();  // the one space after the header
  picture.rgb.resize(picture.width * picture.height * 3);
  file.read(reinterpret_cast<char*>(picture.rgb.data()), static_cast<std::streamsize>(picture.rgb.size()));
  if (!file) throw std::runtime_error(path + " is not whole.");
  return picture;
}

// The description is canonical JSON: sorted keys, no spaces. This finds the texts of a list, and no more.
std::vector<std::string> texts(const std::string& json, const std::string& key) {
  std::vector<std::string> found;
  const auto start = json.find("\"" + key + "\":[");
  if (start == std::string::npos) throw std::runtime_error("The description has no " + key + ".");
  const auto stop = json.find(']', start);
  for (auto open = json.find('"', start + key.size() + 3); open < stop; open = json.find('"', open + 1)) {
    const auto close = json.find('"', open + 1);
    found.push_back(json.substr(open + 1, close - open - 1));
    open = close;
  }
  return found;
}

int run(int count, char** arguments) {
  if (count < 3) throw std::runtime_error("usage: cpp_client MODEL.onnx PICTURE.ppm [AGE [SEX SITE]]");
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);  // on Windows: _putenv_s
  Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "dermedge");
#ifdef _WIN32
  const std::string name = arguments[1];
  Ort::Session session(environment, std::wstring(name.begin(), name.end()).c_str(), Ort::SessionOptions());
#else
  Ort::Session session(environment, arguments[1], Ort::SessionOptions());
#endif
  Ort::AllocatorWithDefaultOptions allocator;
  const auto described = session.GetModelMetadata().LookupCustomMetadataMapAllocated("dermedge", allocator);
  if (!described) throw std::runtime_error("The file has no description of dermedge.");
  const std::string spec = described.get();
  if (spec.find("\"any_size\":true") == std::string::npos)
    throw std::runtime_error("The model does not resize pictures. Export it with --any-size.");

  Picture picture = read_ppm(arguments[2]);
  float numeric[] = {count > 3 ? std::stof(arguments[3]) : NAN};
  int32_t categorical[] = {count > 5 ? std::stoi(arguments[4]) : -1, count > 5 ? std::stoi(arguments[5]) : -1};
  int32_t target[] = {-1};  // explain the predicted class

  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const std::vector<int64_t> pixels = {1, picture.height, picture.width, 3}, one = {1}, row1 = {1, 1}, row2 = {1, 2};
  std::vector<Ort::Value> inputs;
  inputs.push_back(
      Ort::Value::CreateTensor<uint8_t>(memory, picture.rgb.data(), picture.rgb.size(), pixels.data(), pixels.size()));
  inputs.push_back(Ort::Value::CreateTensor<float>(memory, numeric, 1, row1.data(), row1.size()));
  inputs.push_back(Ort::Value::CreateTensor<int32_t>(memory, categorical, 2, row2.data(), row2.size()));
  inputs.push_back(Ort::Value::CreateTensor<int32_t>(memory, target, 1, one.data(), one.size()));
  const char* input_names[] = {"image", "numeric", "categorical", "target"};
  // Those that the file has: explanations and scores can be left out of an export.
  const auto outputs_of_file = texts(spec, "outputs");
  std::vector<const char*> output_names;
  for (const auto& output : outputs_of_file) output_names.push_back(output.c_str());
  const auto outputs =
      session.Run(Ort::RunOptions(), input_names, inputs.data(), 4, output_names.data(), output_names.size());

  const auto classes = texts(spec, "classes"), features = texts(spec, "features");
  for (size_t i = 0; i < outputs.size(); ++i) {
    const float* values = outputs[i].GetTensorData<float>();
    const size_t size = outputs[i].GetTensorTypeAndShapeInfo().GetElementCount();
    const auto& name = outputs_of_file[i];
    for (size_t j = 0; j < size; ++j) {
      auto label = std::to_string(j);  // of a cell of the heat map; a score has one value
      if (name == "probabilities") label = classes.at(j);
      if (name == "relevance" || name == "attribution") label = features.at(j);
      std::cout << name << '\t' << label << '\t' << values[j] << '\n';
    }
  }
  return 0;
}

int main(int count, char** arguments) {
  try {
    return run(count, arguments);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
