{{/* Labels of every object. Arguments: dict "context" $ "component" name. */}}
{{- define "loadline.labels" -}}
{{ include "loadline.selector" . }}
app.kubernetes.io/part-of: loadline
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version }}
{{- end }}

{{/* Labels that select the pods of one component. */}}
{{- define "loadline.selector" -}}
app.kubernetes.io/name: loadline-{{ .component }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
{{- end }}

{{/* An image reference. Arguments: dict "context" $ "name" of an image in .Values.images. */}}
{{- define "loadline.image" -}}
{{ get .context.Values.images .name | default (printf "docker.io/loadline/%s:%s" .name .context.Chart.AppVersion) }}
{{- end }}

{{/* What Pod Security "restricted" asks of a pod, and the user of our images. */}}
{{- define "loadline.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* What Pod Security "restricted" asks of a container, and a root file system that nothing writes to. */}}
{{- define "loadline.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Where pods go. Argument: the component's values. */}}
{{- define "loadline.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Spread over nodes where there are several, without blocking a rollout or a drain. Argument: selector labels. */}}
{{- define "loadline.spread" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- . | nindent 12 }}
{{- end }}

{{/* Whether the chart runs the object store, or a user's is used. */}}
{{- define "loadline.ownStore" -}}
{{- if not .Values.objectStore.external.url }}yes{{ end -}}
{{- end }}

{{- define "loadline.ownMlflow" -}}
{{- if not .Values.mlflow.externalUrl }}yes{{ end -}}
{{- end }}

{{- define "loadline.storeUrl" -}}
{{ .Values.objectStore.external.url | default (printf "s3://%s" .Values.objectStore.bucket) }}
{{- end }}

{{- define "loadline.storeEndpoint" -}}
{{- if include "loadline.ownStore" . -}}
http://{{ .Release.Name }}-store.{{ .Release.Namespace }}:7070
{{- else -}}
{{ .Values.objectStore.external.endpoint }}
{{- end -}}
{{- end }}

{{- define "loadline.storeWriterSecret" -}}
{{- if include "loadline.ownStore" . }}{{ .Release.Name }}-store-writer{{ else }}{{ .Values.objectStore.external.writerSecret }}{{ end -}}
{{- end }}

{{- define "loadline.storeReaderSecret" -}}
{{- if include "loadline.ownStore" . }}{{ .Release.Name }}-store-reader{{ else }}{{ .Values.objectStore.external.readerSecret }}{{ end -}}
{{- end }}

{{/* Who writes routes of ModelDeployments, as the API server names it. */}}
{{- define "loadline.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ .Release.Name }}-operator
{{- end }}

{{/* Envoy Gateway's own labels on the pods of our Gateway. */}}
{{- define "loadline.envoySelector" -}}
gateway.envoyproxy.io/owning-gateway-name: {{ .Release.Name }}
gateway.envoyproxy.io/owning-gateway-namespace: {{ .Release.Namespace }}
{{- end }}
